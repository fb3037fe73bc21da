"""Tracking alone: boxes in, trajectories out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from synthetic_boxes import boxes, camera, driven

from tracker.association import Rules, associate
from tracker.contract import Report, StageFiles
from tracker.errors import InputMissing, NoVehicles
from tracker.stages.track_vehicles import Parameters, follow, run, smoothed, usable
from tracker.tables import Table, groups, read_table, select, write_table


def tracked(table: Table, parameters: Parameters | None = None, *, step_s: float = 0.1) -> Table:
    """The table that the stage writes."""
    parameters = parameters or Parameters()
    table = usable(table)
    rows = smoothed(table, follow(table, parameters), camera(int(table["frame"].max()) + 1, step_s=step_s), parameters)
    assert rows is not None
    return rows


def ways(table: Table) -> set[frozenset[tuple[int, float]]]:
    """Boxes grouped by track, identified by frame and length."""
    tracks = associate(table, Rules())
    return {
        frozenset(zip(table["frame"][track.rows].tolist(), table["length_m"][track.rows].tolist(), strict=True))
        for track in tracks
    }


@given(
    # At 25 m/s, a vehicle moves by just `gate_m` within three frames.
    st.floats(0, 24.9),
    st.floats(-np.pi, np.pi),
    st.floats(-100, 100),
    st.floats(-100, 100),
    st.sampled_from([1, 2, 3]),
)
@example(0.2, 0.0, 0.0, 0.0, 1)  # just at the stopping speed: when partly held, it jumped
@settings(max_examples=30)
def test_exact_constant_speed_is_recovered(
    speed: float, heading: float, x_m: float, y_m: float, searched_each: int
) -> None:
    frames = np.arange(0, 91, searched_each)
    step_s = 1 / 30
    way = speed * frames * step_s
    rows = np.column_stack(
        [frames, x_m + way * np.cos(heading), y_m + way * np.sin(heading), np.full(len(frames), np.degrees(heading))]
    )
    result = tracked(boxes([(int(row[0]), *row[1:]) for row in rows], step_s=step_s), step_s=step_s)
    times = result["frame"] * step_s
    assert set(result["track_id"]) == {1}
    assert result["frame"].tolist() == list(range(91 - (90 % searched_each)))
    # A creeping vehicle may be held as stopped: it is off by the distance it creeps.
    margin = 0.02 if speed > 0.3 or speed < 1e-3 else 0.5
    assert np.allclose(result["x_m"], x_m + speed * times * np.cos(heading), atol=margin)
    assert np.allclose(result["y_m"], y_m + speed * times * np.sin(heading), atol=margin)
    assert np.allclose(result["speed_m_s"], speed, atol=0.31 if margin > 0.1 else 0.05)
    assert result["observed"].sum() == len(frames)


@given(st.integers(0, 2**32 - 1), st.floats(-np.pi, np.pi), st.floats(-500, 500), st.floats(-500, 500))
@settings(max_examples=10)
def test_tracking_is_invariant_to_box_order_and_world_transformations(
    seed: int, turn: float, x_m: float, y_m: float
) -> None:
    table, _ = driven(105, 6, noise_m=0.1)
    table = table | {"length_m": table["length_m"] + 1e-6 * np.arange(len(table["frame"]))}
    expected = ways(usable(table))
    shuffled = select(table, np.random.default_rng(seed).permutation(len(table["frame"])))
    cos, sin = np.cos(turn), np.sin(turn)
    moved = shuffled | {
        "x_m": cos * shuffled["x_m"] - sin * shuffled["y_m"] + x_m,
        "y_m": sin * shuffled["x_m"] + cos * shuffled["y_m"] + y_m,
        "heading_deg": shuffled["heading_deg"] + np.degrees(turn),
    }
    assert ways(usable(shuffled)) == expected
    assert ways(usable(moved)) == expected


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.3]), st.floats(0, 0.4))
@settings(max_examples=10)
def test_boxes_belong_to_one_track_and_tracks_have_one_position_per_frame(
    seed: int, noise_m: float, lost: float
) -> None:
    table, _ = driven(105, 6, noise_m=noise_m)
    table = usable(select(table, np.random.default_rng(seed).random(len(table["frame"])) >= lost))
    own = [
        row
        for track in associate(table, Rules())
        for row, shared in zip(track.rows, track.shared, strict=True)
        if not shared
    ]
    assert len(own) == len(set(own)) == len(table["frame"])
    result = tracked(table)
    places = list(zip(result["track_id"].tolist(), result["frame"].tolist(), strict=True))
    assert len(places) == len(set(places))


def test_tracking_of_simulated_vehicles_meets_its_goals() -> None:
    """About two thirds of the position errors are within the tracks' stated standard deviation, along each axis."""
    table, truth = driven(106, 20, noise_m=0.1)
    result = tracked(table)
    errors, speeds, stated, identities = [], [], [], []
    by_frame = groups(truth, "frame")
    for number, track in groups(result, "track_id").items():
        met = []
        for row, frame in enumerate(track["frame"]):
            known = by_frame[float(frame)]
            apart = np.column_stack([track["x_m"][row] - known["x_m"], track["y_m"][row] - known["y_m"]])
            nearest = int(np.hypot(*apart.T).argmin())
            met.append(known["vehicle_id"][nearest])
            errors.append(apart[nearest])
            stated.append(track["position_std_m"][row])
            speeds.append(track["speed_m_s"][row] - known["speed_m_s"][nearest])
        assert len(set(met)) == 1, f"track {number} switches to another vehicle"
        identities.append(met[0])
    assert len(identities) == len(set(identities))
    inside = np.abs(errors) < np.array(stated)[:, None]
    print(f"within one standard deviation: {inside.mean():.2f}")
    assert np.median(np.hypot(*np.array(errors).T)) < 0.06
    assert np.percentile(np.abs(speeds), 95) * 3.6 < 1.5
    assert 0.55 < inside.mean() < 0.9


def test_passing_vehicles_keep_their_numbers() -> None:
    rows = [(frame, *place) for frame in range(60) for place in ((frame, 0.0, 0.0), (60.0 - frame, 3.0, 180.0))]
    result = groups(tracked(boxes(rows)), "track_id")
    assert sorted(int(track["y_m"].mean().round()) for track in result.values()) == [0, 3]


def test_a_briefly_hidden_vehicle_keeps_its_number() -> None:
    rows = [(frame, 1.2 * frame, 0.0, 0.0) for frame in range(80) if not 20 <= frame < 40]
    result = tracked(boxes(rows))
    assert set(result["track_id"]) == {1}
    assert result["observed"].sum() == 60
    assert np.allclose(result["x_m"], 1.2 * result["frame"], atol=0.05)
    hidden = result["observed"] == 0
    assert result["position_std_m"][hidden].max() > 1.5 * result["position_std_m"][~hidden].max()


def test_a_vehicle_hidden_while_stopped_keeps_its_number() -> None:
    way = np.concatenate([np.arange(40) * 1.0, np.full(300, 39.0), 39 + 0.5 * 2.0 * (np.arange(40) * 0.1) ** 2])
    rows = [(frame, float(x), 0.0, 0.0) for frame, x in enumerate(way) if not 60 <= frame < 330]
    result = tracked(boxes(rows))
    assert set(result["track_id"]) == {1}
    standing = (result["frame"] > 60) & (result["frame"] < 330)
    assert np.allclose(result["x_m"][standing], 39.0, atol=0.3)


@pytest.mark.parametrize("speed_m_s", [0.0, 0.5])
def test_what_comes_where_a_slow_vehicle_has_left_is_another(speed_m_s: float) -> None:
    # What is seen of a car that creeps out of the picture or stops there, and another car five seconds later.
    leaves = [(frame, 20.0 + 0.1 * speed_m_s * frame, 0.0, 0.0) for frame in range(30)]
    comes = [(frame, 21.0, 0.0, 180.0) for frame in range(80, 110)]
    whole = np.array([frame < 20 for frame, *_ in leaves] + [1] * len(comes), np.float64)
    assert len(set(tracked(boxes(leaves + comes, whole=whole))["track_id"])) == (2 if speed_m_s else 1)
    assert len(set(tracked(boxes(leaves + comes))["track_id"])) == 1, "in the picture, it waited"


def test_a_hidden_vehicle_that_others_drive_through_is_gone() -> None:
    stands = [(frame, 39.0, 0.0, 0.0) for frame in range(200) if not 50 <= frame < 150]
    drives = [(frame, 39.0 + 1.2 * (frame - 100), 0.0, 0.0) for frame in range(70, 130)]
    result = tracked(boxes(stands + drives))
    assert len(set(result["track_id"])) == 3


def test_stopped_vehicles_do_not_creep() -> None:
    random = np.random.default_rng(3)
    places = random.normal(0, 0.1, (100, 2))
    result = tracked(boxes([(frame, *place, 0.0) for frame, place in enumerate(places)]))
    assert (result["speed_m_s"] < 0.01).all()
    assert np.hypot(np.ptp(result["x_m"]), np.ptp(result["y_m"])) < 0.02


def test_a_stationary_motion_only_track_is_dropped() -> None:
    ghost = [(frame, 10.0, 9.0, 0.0) for frame in range(60)]
    car = [(frame, 1.0 * frame, 0.0, 0.0) for frame in range(60)]
    source = ["motion"] * 60 + ["network"] * 60
    result = tracked(boxes(ghost + car, source=source))
    assert set(result["track_id"]) == {1}
    assert (np.abs(result["y_m"]) < 0.1).all()


def by_motion(rows: list[tuple[int, float, float, float]], **columns: object) -> Table:
    """Boxes that a network does not know."""
    return boxes(rows, source=["motion"] * len(rows), score=0.2, **{"class": "", **columns})


def together(*tables: Table) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def test_a_vehicle_that_only_motion_sees_is_tracked_from_its_first_box() -> None:
    result = tracked(by_motion([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(5, 60)]))
    assert set(result["track_id"]) == {1}
    assert result["frame"].tolist() == list(range(5, 60))
    assert set(result["class"]) == {"car"}


def test_a_vehicle_that_the_network_sees_late_is_tracked_from_where_motion_saw_it() -> None:
    early = by_motion([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(8)])
    late = boxes([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(8, 60)])
    result = tracked(together(early, late))
    assert set(result["track_id"]) == {1}
    assert result["frame"].tolist() == list(range(60))


def test_what_only_motion_sees_must_move_like_a_vehicle() -> None:
    random = np.random.default_rng(5)
    car = boxes([(frame, 1.0 * frame, 40.0, 0.0) for frame in range(60)])
    others = {
        "stands": by_motion([(frame, 10.0, 0.0, 0.0) for frame in range(60)]),
        "walks": by_motion([(frame, 0.12 * frame, 0.0, 0.0) for frame in range(60)], length_m=0.8, width_m=0.6),
        "flickers": by_motion([(frame, *random.uniform(-2, 2, 2), 0.0) for frame in range(60)]),
        "sways": by_motion([(frame, 1.5 * np.sin(frame / 2), 0.0, 0.0) for frame in range(60)]),
        "slides sideways": by_motion([(frame, 0.0, 0.6 * frame - 100, 0.0) for frame in range(60)]),
        "pulses": by_motion(
            [(frame, 0.8 * frame, 0.0, 0.0) for frame in range(60)], length_m=np.tile([1.5, 3.0, 6.0], 20)
        ),
        "is a shadow": by_motion([(frame, 1.0 * frame, 37.8, 0.0) for frame in range(60)]),
        "is brief": by_motion([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(20, 28)]),
    }
    for what, table in others.items():
        result = tracked(together(car, table))
        assert set(result["y_m"].round()) == {40}, what


def test_how_long_an_unknown_vehicle_must_move_can_be_set() -> None:
    table = by_motion([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(20, 40)])
    known = boxes([(frame, 1.0 * frame, 40.0, 0.0) for frame in range(60)])
    for seconds, count in ((1.5, 2), (3.0, 1)):
        result = tracked(together(known, table), Parameters(min_moving_seconds=seconds))
        assert len(set(result["track_id"])) == count


def test_a_stationary_track_narrower_than_a_car_is_dropped() -> None:
    kerb = [(frame, 10.0, 9.0, 0.0) for frame in range(60)]
    rider = [(frame, 20.0, 9.0, 0.0) for frame in range(60)]
    width, name = [0.8] * 120, ["car"] * 60 + ["two_wheeler"] * 60
    result = tracked(boxes(kerb + rider, length_m=2.2, width_m=width, **{"class": name}))
    assert set(result["class"]) == {"two_wheeler"}


def test_a_stationary_two_wheeler_with_a_low_score_is_dropped() -> None:
    lamp = [(frame, 10.0, 9.0, 0.0) for frame in range(60)]
    parked = [(frame, 20.0, 9.0, 0.0) for frame in range(60)]
    rider = [(frame, 0.5 * frame, 0.0, 0.0) for frame in range(60)]
    score = [0.55, 0.3] * 30 + [0.7] * 60 + [0.55] * 60
    kind = {"class": ["two_wheeler"] * 180}
    result = tracked(boxes(lamp + parked + rider, length_m=2.2, width_m=[0.8] * 180, score=score, **kind))
    assert {round(float(part["x_m"][0])) for part in groups(result, "track_id").values()} == {0, 20}


def test_a_rarely_seen_stationary_track_is_dropped() -> None:
    heap = [(frame, 10.0, 9.0, 0.0) for frame in range(100) if frame % 10 < 3]
    parked = [(frame, 20.0, 9.0, 0.0) for frame in range(100)]
    result = tracked(boxes(heap + parked))
    assert set(result["x_m"].round()) == {20}


def test_what_stands_far_from_the_road_needs_a_higher_score() -> None:
    road = [(frame, 1.0 * frame, y, 0.0) for y in (0.0, 4.0, 8.0) for frame in range(60)]
    standing = {(30.0, 15.0): 0.5, (30.0, 60.0): 0.5, (40.0, 60.0): 0.7}  # beside the road, and on a roof
    rows = [(frame, *place, 0.0) for place in standing for frame in range(60)]
    score = [0.9] * len(road) + [value for value in standing.values() for _ in range(60)]
    table = boxes(road + rows, score=score)
    for reach_m, expected in ((15.0, [(30, 15), (40, 60)]), (0.0, [(30, 15), (30, 60), (40, 60)])):
        result = tracked(table, Parameters(road_reach_m=reach_m))
        starts = {
            (round(float(part["x_m"][0])), round(float(part["y_m"][0]))) for part in groups(result, "track_id").values()
        }
        assert sorted(place for place in starts if place[1] > 8) == expected


def test_without_moving_vehicles_it_is_not_known_where_the_road_is() -> None:
    parked = boxes([(frame, 30.0, 60.0, 0.0) for frame in range(60)], score=0.5)
    assert set(tracked(parked)["y_m"].round()) == {60}


def test_a_moving_sliver_at_the_border_is_dropped() -> None:
    sliver = [(frame, 0.5 * frame, 9.0, 0.0) for frame in range(60)]
    cut = [(frame, 0.5 * frame, 0.0, 0.0) for frame in range(60)]
    result = tracked(boxes(sliver + cut, width_m=[0.4] * 60 + [0.9] * 60, whole=[0] * 120))
    assert set(result["y_m"].round()) == {0}


def test_tracks_cut_short_by_the_film_need_half_the_duration() -> None:
    early, late = (
        [(frame, 1.0 * frame, y, 0.0) for frame in frames] for y, frames in ((0.0, range(7)), (9.0, range(93, 100)))
    )
    between = [(frame, 1.0 * frame, 18.0, 0.0) for frame in range(40, 47)]
    whole = [(frame, 1.0 * frame, 27.0, 0.0) for frame in range(100)]
    result = tracked(boxes(early + late + between + whole))
    assert sorted(set(result["y_m"].round())) == [0, 9, 27]


@pytest.mark.parametrize("speed", [1.0, 0.0])
def test_a_vehicle_is_placed_between_network_and_motion(speed: float) -> None:
    # Motion sees it at its position, the network 0.2 m behind that and 0.1 m to the left; every third frame both look.
    way = [speed * min(frame, 40) for frame in range(90)]
    rows = [(frame, x - (0.2 if frame > 60 else 0.0), 0.1 if frame > 60 else 0.0, 0.0) for frame, x in enumerate(way)]
    both = np.array([frame <= 60 and frame % 3 == 0 for frame in range(90)])
    source = ["fused"] * 61 + ["network"] * 29
    looks = {"network_x_m": np.where(both, np.array(way) - 0.2, np.nan), "network_y_m": np.where(both, 0.1, np.nan)}
    result = tracked(boxes(rows, source=source, **looks))
    if speed:
        assert np.median(result["x_m"] - way) == pytest.approx(-0.1, abs=0.02)
        # It does not jump back when it stops and only the network sees it.
        assert np.abs(np.diff(result["x_m"][56:])).max() < 0.01
    assert np.median(result["y_m"]) == pytest.approx(0.05, abs=0.01)


def test_a_vehicle_entering_beside_a_parked_one_is_another() -> None:
    # The border is at -57 m. A vehicle entering the view is seen in part, with the orientation of that part.
    parked = [(frame, -56.5, -11.6, 0.0) for frame in range(60)]
    parts = [(61, -56.1, -8.8, 90.0), (63, -55.6, -8.8, 90.0)]
    drives = [(frame, -55.0 + 0.8 * (frame - 65), -8.8, 0.0) for frame in range(65, 130)]
    sizes = [(4.1, 1.9)] * 60 + [(1.9, 1.1)] * 2 + [(4.5, 1.9)] * 65
    lengths, widths = zip(*sizes, strict=True)
    score = [0.8] * 60 + [0.2] * 2 + [0.8] * 65
    result = tracked(boxes(parked + parts + drives, length_m=lengths, width_m=widths, score=score))
    starts = {number: float(track["y_m"][0].round()) for number, track in groups(result, "track_id").items()}
    assert sorted(starts.values()) == [-12, -9]


def test_a_merged_box_does_not_move_its_vehicles() -> None:
    # One follows the other at 8 m; for two seconds a single box encloses both.
    rows, lengths = [], []
    for frame in range(80):
        if 30 <= frame < 50:
            rows.append((frame, 1.0 * frame + 4.0, 0.0, 0.0))
            lengths.append(12.5)
        else:
            rows += [(frame, 1.0 * frame, 0.0, 0.0), (frame, 1.0 * frame + 8.0, 0.0, 0.0)]
            lengths += [4.5, 4.5]
    result = tracked(boxes(rows, length_m=lengths))
    assert set(result["track_id"]) == {1, 2}
    for track, start in zip(groups(result, "track_id").values(), (0.0, 8.0), strict=True):
        assert track["length_m"][0] == pytest.approx(4.5)
        assert np.abs(track["x_m"] - start - track["frame"]).max() < 0.3


def test_a_partial_box_is_aligned_at_its_visible_edge() -> None:
    # The rear third is not seen for a second.
    rows = [(frame, 1.0 * frame + (0.75 if 30 <= frame < 40 else 0.0), 0.0, 0.0) for frame in range(80)]
    lengths = [3.0 if 30 <= frame < 40 else 4.5 for frame in range(80)]
    result = tracked(boxes(rows, length_m=lengths))
    assert np.abs(result["x_m"] - result["frame"]).max() < 0.1


def test_a_vehicle_leaving_the_view_is_tracked_by_its_rear() -> None:
    # The border is at 50 m: the visible part of the vehicle gets shorter.
    rows, lengths, whole = [], [], []
    for frame in range(49):
        rear, front = 1.0 * frame + 2.0 - 2.25, min(1.0 * frame + 2.0 + 2.25, 50.0)
        rows.append((frame, (rear + front) / 2, 0.0, 0.0))
        lengths.append(front - rear)
        whole.append(int(front < 50.0))
    result = tracked(boxes(rows, length_m=lengths, whole=whole))
    assert result["length_m"][0] == pytest.approx(4.5)
    assert np.abs(result["x_m"] - result["frame"] - 2.0).max() < 0.3


def test_a_reversing_vehicle_keeps_its_heading() -> None:
    way = np.concatenate([np.arange(0, 20, 0.5), np.full(20, 19.5), 19.5 - 0.25 * np.arange(25)])
    result = tracked(boxes([(frame, float(x), 0.0, 0.0) for frame, x in enumerate(way)]))
    assert np.abs(result["heading_deg"]).max() < 10


def test_duplicate_boxes_make_one_vehicle() -> None:
    rows = [(frame, 1.0 * frame, 0.0, 0.0) for frame in range(40) for _ in range(2)]
    assert set(tracked(boxes(rows))["track_id"]) == {1}


def test_times_need_not_be_regular() -> None:
    random = np.random.default_rng(4)
    times = np.cumsum(random.uniform(0.01, 0.25, 80))
    table = boxes([(frame, 9.0 * float(time), 0.0, 0.0) for frame, time in enumerate(times)])
    table["time_s"] = times
    parameters = Parameters()
    result = smoothed(table, follow(table, parameters), {"frame": np.arange(80), "time_s": times}, parameters)
    assert result is not None
    assert set(result["track_id"]) == {1}
    assert np.allclose(result["speed_m_s"], 9.0, atol=0.05)


def test_the_class_is_the_networks_majority_or_follows_from_the_length() -> None:
    rows = [(frame, 1.0 * frame, 0.0, 0.0) for frame in range(40)]
    classified = tracked(boxes(rows, **{"class": ["truck_bus"] * 30 + ["car"] * 10}))
    assert set(classified["class"]) == {"truck_bus"}
    assert classified["class_score"][0] == pytest.approx(0.75)
    unsaid = tracked(boxes(rows, **{"class": "", "length_m": 11.0}))
    assert set(unsaid["class"]) == {"truck_bus"}
    assert unsaid["class_score"][0] == 0


def test_nothing_as_long_as_a_car_is_a_two_wheeler() -> None:
    rows = [(frame, 1.0 * frame, 0.0, 0.0) for frame in range(40)]
    for length_m, kind in ((2.2, "two_wheeler"), (4.5, "car"), (9.0, "truck_bus")):
        assert set(tracked(boxes(rows, length_m=length_m, **{"class": "two_wheeler"}))["class"]) == {kind}


def stage(directory: Path, table: Table) -> StageFiles:
    """The files of a stage for these boxes."""
    for name in ("detect_vehicles", "estimate_camera", "result"):
        (directory / name).mkdir()
    write_table(directory / "detect_vehicles" / "detections.parquet", table)
    write_table(directory / "estimate_camera" / "camera.csv", camera(100))
    return StageFiles(directory, directory / "result", directory)


def test_boxes_with_nan_are_ignored_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = boxes([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(60)])
    table["x_m"][[7, 30]] = np.nan
    table["length_m"][9] = 0
    run(stage(tmp_path, table), Parameters(), Report())
    assert "WARNING: 3 boxes are ignored" in capsys.readouterr().err
    result = read_table(tmp_path / "result" / "tracks.parquet")
    assert np.isfinite(result["x_m"]).all()
    assert len(result["frame"]) == 60


def test_boxes_of_an_older_version_are_rejected(tmp_path: Path) -> None:
    table = boxes([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(60)])
    del table["source"], table["position_std_m"]
    with pytest.raises(InputMissing, match="no column source, position_std_m"):
        run(stage(tmp_path, table), Parameters(), Report())


@pytest.mark.parametrize("frames", [0, 3])
def test_without_vehicles_the_dropped_tracks_are_reported(tmp_path: Path, frames: int) -> None:
    table = boxes([(frame, 1.0 * frame, 0.0, 0.0) for frame in range(max(frames, 1))])
    with pytest.raises(NoVehicles, match=r"shorter tracks were dropped, with .* boxes.*MIN_TRACK_SECONDS"):
        run(stage(tmp_path, select(table, np.arange(frames))), Parameters(), Report())
