"""`drip new` and `drip duplicate` on a real workspace: what was ever an experiment's id stays its own."""


def test_a_template_becomes_a_draft_that_ticks_without_enrolling_anybody(drip, world):
    told = drip("new", "hello", "--from", "one_message", "--json")
    assert told.code == 0
    assert told.json()["problems"] == []
    assert [path.rpartition("/")[2] for path in told.json()["created"]] == ["hello.yml", "first.md"]
    world.leads(2)
    assert "enrolled" not in world.tick().counts
    again = drip("new", "hello", "--from", "one_message")
    assert (again.code, "is there already" in again.err) == (1, True)


def test_the_list_names_every_template_and_what_it_is_for(drip, world):
    found = drip("new", "--list", "--json").json()
    assert {"name", "category", "description"} == found[0].keys()
    assert "new_meta_lead" in {template["name"] for template in found}
    assert "cold_outreach" in drip("new", "--list").out
    told = drip("new", "hello")
    assert (told.code, "drip new NAME --from TEMPLATE" in told.err) == (1, True)


def test_an_experiment_of_a_file_that_is_gone_keeps_its_id(drip, world):
    test = "experiment: {id: copy_a_1, control: x, metric: replied, variants: [{id: x}, {id: y, subject: B}]}"
    step = f"  - {{id: a, channel: email, subject: A, body: templates/hello.md, {test}}}\n"
    world.sequence("one", step)
    world.tick()
    (world.folder / "one.yml").rename(world.folder / "two.yml")
    text = (world.folder / "two.yml").read_text()
    (world.folder / "two.yml").write_text(text.replace("copy_a_1", "other"))
    made = drip("duplicate", "two", "copy", "--json").json()
    assert made["experiments"] == {"other": "copy_a_2"}
    assert made["problems"] == []
    told = drip("duplicate", "two", "copy_too")
    assert "an id is used once, for ever" in told.out


def test_what_the_workspace_lacks_for_a_template_is_told(drip, world):
    told = drip("new", "meta", "--from", "new_meta_lead")
    assert told.code == 0
    assert "to mend" in told.out
    assert "channel: call" in told.out
