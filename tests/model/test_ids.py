"""Ids are made by the program: in the order of time, not to be guessed, and a reference is the same whoever asks (D01)."""

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sync_engine.model.ids import id_maker, reference

NOON = datetime(2026, 9, 15, 12, 0, tzinfo=UTC)


@given(seed=st.integers(0, 2**32), steps=st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_ids_sort_by_the_time_they_were_made(seed, steps):
    new_id, moment, made = id_maker(Random(seed)), NOON, []
    for milliseconds in steps:
        made.append(new_id(moment))
        moment += timedelta(milliseconds=milliseconds)
    assert made == sorted(made)
    assert [str(one) for one in made] == sorted(str(one) for one in made), "as text too"


@given(st.integers(0, 2**64))
def test_an_id_is_a_version_7_uuid_with_its_milliseconds_in_front(seed):
    made = id_maker(Random(seed))(NOON)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(NOON.timestamp() * 1000)


def test_ids_of_one_moment_differ():
    new_id = id_maker(Random(1))
    assert len({new_id(NOON) for _ in range(10_000)}) == 10_000


def test_the_same_seed_makes_the_same_ids_and_another_makes_others():
    first, again, other = (id_maker(Random(seed))(NOON) for seed in (7, 7, 8))
    assert first == again != other


def test_a_reference_depends_on_the_document_and_the_purpose_and_on_nothing_else():
    document = UUID(int=42)
    assert reference(document, "create_purchase_order", 12) == reference(UUID(int=42), "create_purchase_order", 12)
    assert reference(document, "create_purchase_order", 12) != reference(UUID(int=43), "create_purchase_order", 12)
    assert reference(document, "create_purchase_order", 12) != reference(document, "update_purchase_order", 12)


def test_references_found_in_the_erp_today_are_those_made_years_ago():
    assert reference(UUID("018f3c4e-8a10-7c3e-9a55-0123456789ab"), "create_purchase_order", 12) == GOLDEN


GOLDEN = "BATG75R5NSQT"
"""Written down once: a change of the way references are made would order everything a second time."""


@given(st.uuids(), st.text(max_size=40), st.integers(1, 24))
def test_a_reference_is_letters_and_digits_every_system_accepts(document, purpose, length):
    made = reference(document, purpose, length)
    assert len(made) == length
    assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
