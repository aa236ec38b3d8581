"""How much one client may say."""

from alerts.limits import TokenBucket, Window


def test_a_burst_is_allowed_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(per_s=50, burst=200)
    assert [bucket.take(1000.0) for _ in range(201)] == [True] * 200 + [False]
    assert [bucket.take(1000.1) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.take(9000.0) for _ in range(201)] == [True] * 200 + [False]


def test_at_the_rate_it_never_runs_out() -> None:
    bucket = TokenBucket(per_s=50, burst=200)
    assert all(bucket.take(5.0 + number / 50) for number in range(5000))


def test_a_window_allows_its_count_in_any_such_time() -> None:
    window = Window(count=3, within_s=60)
    assert [window.take(at) for at in (0, 10, 20)] == [True] * 3
    assert not window.take(59.9)
    assert [window.take(at) for at in (70.0, 80.0)] == [True, True]
    assert not window.take(80.1)
