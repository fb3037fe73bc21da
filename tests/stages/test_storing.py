"""While outputs are being stored, a cancel is heard and the GPUs are free."""

from __future__ import annotations

from attempts import Place, until

from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.stages.gpu_allocator import write_node_gpus
from winslow_dagster.stages.task.model import NodeGpu

GPU = NodeGpu(uuid="GPU-0", index=0, vendor="nvidia", name="Card 0", memory_bytes=24 << 30)
SPARSE = 'dd if=/dev/zero of="$WINSLOW_OUTPUT_DIR/huge" bs=1 count=0 seek=4398046511104 2>/dev/null'


def test_a_cancel_is_heard_while_outputs_are_being_stored(place: Place) -> None:
    task = place.task(SPARSE)
    with place.running(task) as runner:
        until("it stores", lambda: "storing the outputs: " in place.reason(task))
        place.directory(task).request_cancel("enough")
        assert runner.wait() == 0
    result = place.directory(task).result()
    assert result is not None
    assert (result.outcome, result.outputs) == ("cancelled", None)
    assert result.message == "enough; the outputs were not stored"
    assert result.log_manifest is not None


def test_the_gpus_are_free_while_outputs_are_being_stored(process_place: Place) -> None:
    place = process_place
    write_node_gpus(place.home / "gpus", (GPU,))
    storing = place.task(SPARSE, gpu=Gpu())
    with place.running(storing) as runner:
        until("it stores", lambda: "storing the outputs: " in place.reason(storing))
        other = place.run("true", gpu=Gpu())
        assert (other.outcome, other.gpus) == ("succeeded", ("GPU-0",))
        status = place.directory(storing).status()
        assert status is not None
        assert status.gpus == ("GPU-0",)
        assert place.phase(storing) == "storing"
        place.directory(storing).request_cancel("")
        assert runner.wait() == 0
    result = place.directory(storing).result()
    assert result is not None
    assert result.gpus == ("GPU-0",)
