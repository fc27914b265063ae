"""Another, smaller detector than the network's, for a node that would rather run that: YOLOX in its ONNX form."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from tests.acceptance.hostile.lies import SIDE_PX, SIDE_UNITS, Said

from gridlight.messages.limits import THRESHOLD_REPORT
from gridlight.messages.results import SCORE_ONE, Detection, encode_detections
from gridlight.workloads.contract import manifest_named
from gridlight.workloads.detection.run import Candidates, probe, suppress

_STRIDES: Final = (8, 16, 32)
_IOU_MAX: Final = 4_500


class OtherModel:
    """A loaded model, and what it finds in a tensor of the network's own."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        runtime: Any = onnxruntime
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        [given] = self._session.get_inputs()
        self._name, self._side = given.name, int(given.shape[-1])
        labels = manifest_named("coco-ssd").labels
        self._classes = np.array([class_id for class_id, label in enumerate(labels) if label])

    def run(self, tensor: bytes, probe_seed: int) -> Said:
        """Its detections in the network's own form. Where the probes should be, the seed's places of its own output."""
        picture = np.frombuffer(tensor, np.uint8).reshape(SIDE_PX, SIDE_PX, 3)
        padded = np.full((self._side, self._side, 3), 114, np.float32)
        padded[:SIDE_PX, :SIDE_PX] = picture[:, :, ::-1]
        [raw] = self._session.run(None, {self._name: padded.transpose(2, 0, 1)[None]})
        return Said(self._detections(raw[0]), tuple(probe(raw, probe_seed)))

    def _detections(self, rows: Any) -> bytes:
        sides = [self._side // stride for stride in _STRIDES]
        grid = np.concatenate([np.stack(np.meshgrid(range(n), range(n)), 2).reshape(-1, 2) for n in sides])
        strides = np.concatenate([np.full((n * n, 1), stride) for n, stride in zip(sides, _STRIDES, strict=True)])
        centres, sizes = (rows[:, :2] + grid) * strides, np.exp(rows[:, 2:4]) * strides
        scores = np.rint(rows[:, 4:5] * rows[:, 5:] * SCORE_ONE).astype(np.int64)
        corners = np.hstack([centres - sizes / 2, centres + sizes / 2]) * (SIDE_UNITS / SIDE_PX)
        boxes = np.clip(np.rint(corners), 0, SIDE_UNITS).astype(np.int64)
        anchors, classes = np.nonzero(scores >= THRESHOLD_REPORT)
        order = np.argsort(-scores[anchors, classes], kind="stable")
        anchors, classes = anchors[order], classes[order]
        found = suppress(Candidates(self._classes[classes], scores[anchors, classes], boxes[anchors]), _IOU_MAX)
        listed = zip(found.classes.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
        detections = [Detection(class_id=one, score=score, box=(*box,)) for one, score, box in listed]
        return encode_detections(list(dict.fromkeys(detections)))
