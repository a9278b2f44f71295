"""Profiles: those of the library, and one sentence for each way in which one can be wrong."""

import pytest
import yaml

from blurpaper import kernels
from blurpaper.runs import profile
from blurpaper.runs.profile import ProfileError, load, parse_overrides

COMPLETE = load("emoji").model_dump(exclude={"name"})


@pytest.fixture
def write(tmp_path):
    """Writes a profile into a folder of its own and gives its path."""

    def write(name, fields):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            fields if isinstance(fields, str) else yaml.safe_dump(fields), encoding="utf-8"
        )
        return str(path)

    return write


def refusal(*arguments):
    """The one sentence that says why a profile cannot be used."""
    with pytest.raises(ProfileError) as caught:
        load(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- The profiles that come with the library ------------------------------------------------------


def test_the_four_profiles_are_there():
    assert profile.names() == ["emoji", "imagenet", "photos", "smoke"]


@pytest.mark.parametrize("name", profile.names())
def test_every_profile_loads_under_its_own_name(name):
    assert load(name).name == name


@pytest.mark.parametrize("name", profile.names())
def test_every_profile_measures_conditions_and_scales_that_exist(name):
    chosen = load(name)
    settings = chosen.evaluation
    for condition in (
        *settings.original_conditions,
        *settings.finetuned_conditions,
        *settings.scale_conditions,
    ):
        assert kernels.check_condition(condition) == condition
    for scale in chosen.evaluation.original_scales:
        assert all(chosen.protocol.pixels(part) > 0 for part in scale.split("+"))


@pytest.mark.parametrize("name", profile.names())
def test_every_profile_keeps_the_papers_ratios_of_scales(name):
    protocol = load(name).protocol
    assert protocol.jitter == [356, 384, 410]
    for scale in ("128", "256", "512"):
        assert protocol.pixels(scale) * 384 == protocol.canonical * int(scale)


def test_imagenet_is_the_papers_own_protocol():
    chosen = load("imagenet")
    assert (chosen.model, chosen.protocol.canonical, chosen.protocol.field) == ("vgg16", 384, 224)
    assert chosen.protocol.scales == {"128": 128, "256": 256, "512": 512}


def test_a_profile_cannot_be_changed_after_it_was_read():
    with pytest.raises(ValueError):
        load("emoji").seed = 3


def test_an_unknown_scale_is_an_error_that_says_what_it_got():
    with pytest.raises(ProfileError, match="'384'"):
        load("emoji").protocol.pixels("384")


# --- Extending ------------------------------------------------------------------------------------


def test_extending_merges_mappings():
    emoji, smoke = load("emoji"), load("smoke")
    assert (smoke.emoji.classes, smoke.emoji.train, smoke.emoji.test) == (10, 640, 100)
    assert (smoke.emoji.side, smoke.emoji.seed) == (emoji.emoji.side, emoji.emoji.seed)
    assert smoke.pretraining.momentum == emoji.pretraining.momentum
    assert smoke.protocol == emoji.protocol


def test_extending_replaces_lists(write):
    child = load(
        write(
            "child",
            {
                "extends": "emoji",
                "evaluation": {"original_conditions": ["D2"]},
                "protocol": {"jitter": [384]},
            },
        )
    )
    assert child.evaluation.original_conditions == ["D2"]
    assert child.protocol.jitter == [384]
    assert child.evaluation.original_scales == load("emoji").evaluation.original_scales


def test_extending_replaces_a_section_by_none_and_goes_on_over_grandparents():
    assert load("photos").pretraining is None
    imagenet = load("imagenet")
    assert imagenet.pretraining is None
    assert imagenet.evaluation.original_conditions == load("emoji").evaluation.original_conditions
    assert imagenet.evaluation.images_per_shard == 5000 and imagenet.evaluation.batch == 64


def test_a_file_of_ones_own_is_named_after_itself(write):
    assert load(write("mine", {"extends": "smoke"})).name == "mine"
    assert load(write("mine", COMPLETE)).model_dump(exclude={"name"}) == COMPLETE


def test_a_name_of_its_own_is_not_handed_down(write):
    parent = write("parent", {"extends": "smoke", "name": "grand"})
    assert load(parent).name == "grand"
    assert load(write("child", {"extends": parent})).name == "child"


def test_profiles_that_extend_one_another_are_an_error_that_shows_the_circle(write, tmp_path):
    one = write("one", {"extends": str(tmp_path / "two.yaml")})
    two = write("two", {"extends": one})
    assert f"{one} -> {two} -> {one}" in refusal(one)
    myself = write("myself", {"extends": str(tmp_path / "myself.yaml")})
    assert f"{myself} -> {myself}" in refusal(myself)


@pytest.mark.parametrize("parent", [["emoji", "photos"], 3, {"emoji": 1}])
def test_a_profile_extends_one_other(write, parent):
    assert repr(parent) in refusal(write("child", {"extends": parent}))


def test_a_missing_parent_is_an_error_that_names_it(write):
    message = refusal(write("child", {"extends": "emojy"}))
    assert "'emojy'" in message and "did you mean 'emoji'" in message


# --- Files and fields that cannot be used ---------------------------------------------------------


def test_a_missing_profile_is_an_error_that_lists_those_there_are(tmp_path):
    message = refusal("smokey")
    assert "did you mean 'smoke'" in message
    assert all(name in message for name in profile.names())
    nowhere = str(tmp_path / "nowhere.yaml")
    assert nowhere in refusal(nowhere)


@pytest.mark.parametrize("text", ["seed: [1", "a: b: c", "\t- x", "seed: 1\n  bad: 2"])
def test_what_is_no_yaml_is_an_error_that_names_the_file(write, text):
    path = write("broken", text)
    assert path in refusal(path)


def test_bytes_that_are_no_text_are_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"\xff\xfe\x00seed")
    assert str(path) in refusal(str(path))


@pytest.mark.parametrize("text", ["", "- a\n- b", "just words", "3"])
def test_a_profile_is_a_mapping(write, text):
    assert "mapping" in refusal(write("list", text))


@pytest.mark.parametrize(
    ("field", "near"),
    [
        ("sead", "seed"),
        ("emoji.clases", "classes"),
        ("pretraining.momentun", "momentum"),
        ("evaluation.original_condition", "original_conditions"),
    ],
)
def test_an_unknown_field_is_an_error_that_suggests_the_near_one(field, near):
    message = refusal("emoji", {field: 1})
    assert field in message and f"did you mean {near!r}" in message


def test_an_unknown_field_in_a_list_is_found_too():
    message = refusal(
        "emoji", {"pretraining.phases": [{"epochs": 1, "rate": 0.1, "end_rates": 0.0}]}
    )
    assert "pretraining.phases.0.end_rates" in message and "did you mean 'end_rate'" in message


@pytest.mark.parametrize(
    ("field", "now"),
    [
        ("deblurring.images", "n_images"),
        ("deblurring.prior.held_out", "held_out_patches"),
        ("segmentation.pace", "head_lr_scale"),
        ("evaluation.conditions", "original_conditions"),
    ],
)
def test_a_former_name_of_a_field_is_an_error_that_shows_the_present_one(field, now):
    message = refusal("emoji", {field: 1})
    assert message.startswith(f"profile 'emoji', {field}: no such field; ")
    assert now in message


def test_an_unknown_field_is_reported_before_the_missing_one_that_it_stands_for(write):
    settings = {**COMPLETE["evaluation"], "released": None}
    del settings["released_network"]
    message = refusal(write("whole", COMPLETE | {"evaluation": settings}))
    assert "evaluation.released: no such field; did you mean 'released_network'" in message


def test_an_unknown_field_like_no_other_is_an_error_that_lists_those_there_are():
    message = refusal("emoji", {"protocol.zzz": 1})
    assert message.endswith("no such field; there are canonical, scales, jitter, field.")


def test_an_optimizer_takes_its_own_momentum_alone():
    """AdamW's, the decay of its first moment, was once called ``momentum``."""
    assert "adamw takes beta1" in refusal("emoji", {"agreement.momentum": 0.8})
    assert "sgd takes momentum" in refusal("emoji", {"agreement.optimizer": "sgd"})
    other = {"optimizer": "sgd", "momentum": 0.8, "beta1": None}
    chosen = load("emoji", {f"agreement.{name}": value for name, value in other.items()})
    assert chosen.agreement.momentum == 0.8


def test_a_missing_field_is_an_error_that_names_it(write):
    fields = {name: value for name, value in COMPLETE.items() if name != "model"}
    assert "model" in refusal(write("part", fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("seed", value) for value in ("0", 1.0, True)),
        *(("emoji.classes", value) for value in (1, 101)),
        *(("emoji.train", value) for value in (0, -5)),
        ("pretraining.momentum", 1.0),
        ("pretraining.flip", "yes"),
        ("pretraining.batch", 12.5),
        ("pretraining.phases", {}),
        *(("evaluation.original_scales", value) for value in ("256", [256])),
        ("evaluation", 3),
        ("compute.device", "gpu"),
        ("compute.precision", 16),
        ("protocol.scales.384", 108),
        ("protocol.jitter", [0]),
        ("protocol.canonical", None),
    ],
)
def test_a_wrong_type_or_value_is_an_error_that_says_where_and_what(field, value):
    message = refusal("emoji", {field: value})
    assert field.split(".384")[0] in message
    assert field.endswith("384") or repr(value) in message or repr(next(iter(value))) in message


def test_a_field_too_large_for_the_smallest_training_image_is_an_error():
    # 72 px times 356 / 384 is 66.75.
    assert load("emoji", {"protocol.field": 66}).protocol.field == 66
    assert "68 px" in refusal("emoji", {"protocol.field": 68})


# --- Overrides ------------------------------------------------------------------------------------


def test_overrides_reach_into_sections():
    chosen = load(
        "emoji",
        {
            "seed": 3,
            "emoji.classes": 7,
            "protocol.scales.128": 40,
            "evaluation.original_scales": ["256"],
        },
    )
    assert (chosen.seed, chosen.emoji.classes, chosen.evaluation.original_scales) == (3, 7, ["256"])
    assert chosen.protocol.scales == {"128": 40, "256": 72, "512": 144}
    assert load("emoji").model_dump(exclude={"name"}) == COMPLETE


def test_overrides_win_over_the_file_and_its_parents(write):
    child = write("child", {"extends": "emoji", "seed": 1})
    assert load(child).seed == 1
    assert load(child, {"seed": 2}).seed == 2


def test_an_override_in_an_unknown_section_is_an_error_that_suggests_the_near_one():
    message = refusal("emoji", {"protocoll.canonical": 96})
    assert "'protocoll'" in message and "did you mean 'protocol'" in message


@pytest.mark.parametrize("dotted", ["seed.a", "photos.a.b", "pretraining.phases.0", ".seed"])
def test_an_override_below_what_is_no_section_is_an_error(dotted):
    assert repr(dotted) in refusal("emoji", {dotted: 1})


def test_an_override_in_a_section_that_is_none_is_an_error():
    assert "'pretraining'" in refusal("photos", {"pretraining.batch": 3})


def test_overrides_on_the_command_line_are_read_as_yaml():
    pairs = [
        "seed=3",
        "protocol.jitter=[384, 410]",
        " compute.device = cpu",
        "title=a=b",
        "pretraining=null",
        "evaluation.original_scales=['256']",
    ]
    assert parse_overrides(pairs) == {
        "seed": 3,
        "protocol.jitter": [384, 410],
        "compute.device": "cpu",
        "title": "a=b",
        "pretraining": None,
        "evaluation.original_scales": ["256"],
    }


@pytest.mark.parametrize("pair", ["seed", "=3", " =3", "", "seed=[1", "seed={a"])
def test_an_override_that_cannot_be_read_is_an_error_that_says_what_it_got(pair):
    with pytest.raises(ProfileError) as caught:
        parse_overrides([pair])
    assert repr(pair) in str(caught.value)
