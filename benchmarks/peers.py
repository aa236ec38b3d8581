"""Other people's voice activity detectors, asked about the same 20 ms frames: webrtcvad and silero-vad."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.definitions import talkspurts

FRAME_MS = 20
_WEBRTC_MODE = 3  # the strictest, which does best on telephone speech
_SILERO_WINDOW_MS, _SILERO_CONTEXT_MS = 32, 4
_SILERO_THRESHOLD = 0.5  # its own default

Samples = NDArray[np.int16]
Frames = NDArray[np.bool_]
Detector = Callable[[Samples, int], Frames]
"""Which frames of 20 ms of one channel (n,) are speech, at 8000 or 16000 Hz."""


def peers() -> Mapping[str, Detector]:
    """Those that are installed (`make bench` does), by name."""
    found: dict[str, Detector] = {}
    if find_spec("webrtcvad"):
        found["webrtcvad"] = webrtcvad
    silero = find_spec("silero_vad")
    if silero and silero.origin and find_spec("onnxruntime"):
        found["silero"] = Silero(Path(silero.origin).parent / "data" / "silero_vad.onnx")
    return found


def cleaned(active: Frames) -> Frames:
    """With gaps bridged and short runs dropped, as talkspurts are: what every detector is scored with."""
    speech = np.zeros_like(active)
    for start, end in talkspurts(active, FRAME_MS):
        speech[start // FRAME_MS : end // FRAME_MS] = True
    return speech


def webrtcvad(samples: Samples, rate_hz: int) -> Frames:
    """WebRTC's detector of Gaussian mixtures."""
    import webrtcvad as module  # an optional peer, and slow to import

    detector = module.Vad(_WEBRTC_MODE)
    size = rate_hz * FRAME_MS // 1000
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return np.array([detector.is_speech(frame.tobytes(), rate_hz) for frame in frames], dtype=np.bool_)


class Silero:
    """Silero's recurrent network, run by onnxruntime as its own package runs it, which cannot be imported without
    torch."""

    def __init__(self, model: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def __call__(self, samples: Samples, rate_hz: int) -> Frames:
        """A frame is speech if the window of 32 ms that its middle is in is more likely so than not."""
        probability = self._probabilities(samples, rate_hz)
        middles_ms = np.arange(len(samples) * 1000 // rate_hz // FRAME_MS) * FRAME_MS + FRAME_MS // 2
        window = np.minimum(middles_ms // _SILERO_WINDOW_MS, len(probability) - 1)
        speech: Frames = probability[window] > _SILERO_THRESHOLD
        return speech

    def _probabilities(self, samples: Samples, rate_hz: int) -> NDArray[np.float32]:
        size, context = rate_hz * _SILERO_WINDOW_MS // 1000, rate_hz * _SILERO_CONTEXT_MS // 1000
        sound = np.pad(samples.astype(np.float32) / 32768, (context, -len(samples) % size))
        state = np.zeros((2, 1, 128), dtype=np.float32)
        found = []
        for start in range(0, len(sound) - context, size):
            window = sound[None, start : start + context + size]
            output, state = self._session.run(
                None, {"input": window, "state": state, "sr": np.array(rate_hz, dtype=np.int64)}
            )
            found.append(output[0, 0])
        return np.array(found, dtype=np.float32)
