from pipeline.sequences.vocabulary import Channel, EventKind, Verdict


def test_the_words_are_small_letters_and_never_repeat() -> None:
    words = [*EventKind, *Verdict, *Channel]
    assert len(set(words)) == len(words)
    assert all(word == word.lower() for word in words)
