"""Posted items as the engine takes them: what REST checked, in the words of `analysis`."""

from collections.abc import Iterator, Mapping
from typing import Any

from alerts.models import Told
from analysis.emodel import burst_ratio
from analysis.quality import NetworkSample
from analysis.sentiment import MOODS, Segment


def of_item(kind: str, item: Mapping[str, Any]) -> Iterator[NetworkSample | Segment]:
    """What a segment or a sample tells; nothing, if it is not final."""
    if kind == Told.Kind.NETWORK:
        yield _sample(item)
    elif item["isFinal"]:
        yield _segment(item)


def _segment(item: Mapping[str, Any]) -> Segment:
    """A vendor's `mixed` is no mood: the words are judged then."""
    judged = item.get("sentiment")
    return Segment(
        text=item["text"],
        id=item.get("segmentId", ""),
        vendor_sentiment=judged if judged in MOODS else "",
        vendor_confidence=item.get("sentimentConfidence", 1.0),
    )


def _sample(item: Mapping[str, Any]) -> NetworkSample:
    """Losses as a share where they are counted: `lost` beside the `packets` that were received."""
    loss_pct, burst_r = item.get("lossPct"), item.get("burstR", 1.0)
    lost, sent = item.get("lost", 0), item.get("lost", 0) + item.get("packets", 0)
    if loss_pct is None and "packets" in item:
        loss_pct = 100 * lost / sent if sent else 0.0
    if "bursts" in item and "burstR" not in item:
        burst_r = burst_ratio(lost, item["bursts"], (loss_pct or 0.0) / 100)
    return NetworkSample(
        channel=item.get("role"),
        loss_pct=loss_pct,
        burst_r=burst_r,
        jitter_ms=item.get("jitterMs"),
        rtt_ms=item.get("rttMs"),
        mos=item.get("mos"),
        codec=item.get("codec", ""),
    )
