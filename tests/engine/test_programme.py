"""Versions and experiments are registered once; a running lead keeps the version it entered with."""

MAIL = "  - {id: a, channel: email, subject: %s, body: templates/hello.md}\n"
NEXT = "  - {id: b, after: 1h, channel: email, subject: %s, body: templates/hello.md}\n"


def versions(world):
    return world.rows("select sequence_id, count(*) from sequence_versions group by all")


def test_the_same_files_are_one_version_however_often_they_are_read(world):
    world.sequence("one", MAIL % "Hi")
    world.tick()
    world.tick()
    assert versions(world) == [("one", 1)]


def test_live_settings_make_no_new_version_and_words_do(world):
    world.sequence("one", MAIL % "Hi")
    world.tick()
    world.sequence("one", MAIL % "Hi", head="limits: {per_day: 9}\n")
    world.tick()
    assert versions(world) == [("one", 1)]
    world.sequence("one", MAIL % "Hello")
    world.tick()
    assert versions(world) == [("one", 2)]


def test_who_is_under_way_gets_the_words_of_the_version_they_entered_with(world):
    world.sequence("one", MAIL % "Hi" + NEXT % "Old words")
    world.leads(1)
    world.tick()
    world.sequence("one", MAIL % "Hi" + NEXT % "New words")
    world.land(leads=[{"email": "v@example.com", "source": "ONE"}])
    world.tick()
    world.tick(hours=1)
    subjects = [(m["To"].addresses[0].username, m["Subject"]) for m in world.mail()]
    assert ("u0", "Old words") in subjects
    assert ("v", "New words") in subjects


def test_who_is_in_a_sequence_whose_file_is_gone_finishes_it(world):
    world.sequence("one", MAIL % "Hi" + NEXT % "Last")
    world.leads(1)
    world.tick()
    (world.folder / "one.yml").unlink()
    world.land(leads=[{"email": "v@example.com", "source": "ONE"}])
    world.tick(hours=1)
    assert [m["Subject"] for m in world.mail()] in (["Hi"], ["Hi", "Last"])
    world.now = world.now.replace(day=6, hour=18)
    world.tick()
    assert [m["Subject"] for m in world.mail()] == ["Hi", "Last"]
    assert world.rows("select count(*) from enrollments") == [(1,)]


def test_a_version_remembers_which_template_its_words_came_from(world):
    (world.folder / "templates" / "other.md").write_text("Other words.")
    arms = "[{id: a}, {id: b, body: templates/other.md}]"
    test = f"{{id: t, control: a, metric: replied, variants: {arms}}}"
    sms = "  - {id: s, after: 1h, channel: sms, text: Hi}\n"
    mail = f"  - {{id: m, channel: email, subject: Hi, body: templates/hello.md, experiment: {test}}}\n"
    world.sequence("one", mail + sms)
    world.tick()
    assert world.rows(
        "select step_ix, arm, template from step_templates order by arm nulls first"
    ) == [
        (0, None, "templates/hello.md"),
        (0, "b", "templates/other.md"),
    ]
