"""Material is made once and kept: whole, or not at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import material
from training.material import Clip


def two_clips(rate_hz: int) -> Iterator[Clip]:
    yield np.ones(3, dtype=np.float32)
    yield np.zeros(2, dtype=np.float32)


def lengths(clips: list[Clip]) -> list[int]:
    return [len(clip) for clip in clips]


def test_what_was_broken_off_while_it_was_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(path: Path, **arrays: Any) -> None:
        path.write_bytes(b"PK")
        raise KeyboardInterrupt

    monkeypatch.setattr(material, "CACHE", tmp_path)
    with monkeypatch.context() as halfway:
        halfway.setattr(np, "savez", broken_off)
        with pytest.raises(KeyboardInterrupt):
            material._kept("voice", 8000, two_clips)
    assert list(tmp_path.iterdir()) == []
    assert lengths(material._kept("voice", 8000, two_clips)) == [3, 2]


def test_what_is_kept_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(material, "CACHE", tmp_path)
    material._kept("voice", 8000, two_clips)
    assert lengths(material._kept("voice", 8000, lambda rate: iter(()))) == [3, 2]
