"""Voices and music of named Debian packages as arrays, whole voices kept apart for training and for tests.

None of it is in the repository; docs/hearing.md names the packages and their licences. Needs `sox` with
`libsox-fmt-all`, and `espeak-ng`, `flite` and `festival` for synthetic voices. What was made is kept in
`var/material/`.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Part = Literal["train", "test"]
Clip = NDArray[np.float32]

CACHE = Path(__file__).parents[1] / "var" / "material"

_SHORTEST_S = 0.25
BRIDGED_HOPS = 20
"""The longest gap, of 10 ms, that is speech like what is around it."""

_NO_SPEECH = ("beep", "tone", "silence", "monkeys")  # in the names of files that hold none
_TEXT = (
    "Good morning, thank you for calling, how can I help you today?",
    "I have been waiting for twenty minutes, and nobody could tell me anything.",
    "Could you please give me your customer number?",
    "Yes.",
    "It is four, seven, nine, zero, two, double three.",
    "Let me check that for you, one moment please.",
    "No, that is not what I was told last week by your colleague!",
    "Oh, I see. All right.",
    "The engineer will come on Thursday between eight and twelve, if that suits you.",
    "Bonjour, je vous appelle au sujet de ma facture du mois de septembre.",
    "Buenos dias, quisiera hablar con alguien del servicio tecnico, por favor.",
    "Guten Tag, mein Anschluss ist seit gestern gestoert, und ich brauche ihn fuer die Arbeit.",
)

_SOUNDS = "/usr/share/asterisk/sounds"
_RECORDED: tuple[tuple[str, str, Part, str], ...] = (  # name, package, part, files
    ("en-allison", "asterisk-core-sounds-en-wav", "train", f"{_SOUNDS}/en_US_f_Allison/**/*.wav"),
    ("fr-june", "asterisk-core-sounds-fr-wav", "train", f"{_SOUNDS}/fr_CA_f_June/**/*.wav"),
    ("es-allison", "asterisk-core-sounds-es-wav", "train", f"{_SOUNDS}/es_MX_f_Allison/**/*.wav"),
    ("ru-ivrvoice", "asterisk-core-sounds-ru-wav", "train", f"{_SOUNDS}/ru_RU_f_IvrvoiceRU/**/*.wav"),
    ("it-carlo", "asterisk-core-sounds-it-wav", "train", f"{_SOUNDS}/it_IT_m_Carlo/**/*.wav"),
    ("cs-fish-m", "fillets-ng-data-cs", "train", "/usr/share/games/fillets-ng/sound/*/cs/*-m-*.ogg"),
    ("cs-fish-v", "fillets-ng-data-cs", "train", "/usr/share/games/fillets-ng/sound/*/cs/*-v-*.ogg"),
    *(
        (f"{language}-letters", "klettres-data", "train", f"/usr/share/klettres/{language}/*/*.ogg")
        for language in ("ar", "cs", "da", "de", "en", "en_GB", "es", "fr", "he", "lt", "nb", "nl", "pt_BR", "ru", "tn")
    ),
    ("it-menardi", "asterisk-prompt-it-menardi-wav", "test", f"{_SOUNDS}/it_IT_f_Menardi/**/*.wav"),
    ("fr-armelle", "asterisk-prompt-fr-armelle", "test", f"{_SOUNDS}/fr/**/*.gsm"),
    ("es-colombia", "asterisk-prompt-es-co", "test", f"{_SOUNDS}/es/**/*.gsm"),
    ("nl-fish-m", "fillets-ng-data-nl", "test", "/usr/share/games/fillets-ng/sound/*/nl/*-m-*.ogg"),
    ("nl-fish-v", "fillets-ng-data-nl", "test", "/usr/share/games/fillets-ng/sound/*/nl/*-v-*.ogg"),
    ("en-austen", "pocketsphinx-testdata", "test", "/usr/share/pocketsphinx/test/data/librivox/*.wav"),
    *(
        (f"en-{name}", "codec2-examples", "test", f"/usr/share/codec2/wav/{name}.wav")
        for name in ("big_dog", "cross", "f2400", "forig", "hts1a", "hts2a", "m2400", "mmt1", "morig")
    ),
)

_ESPEAK: dict[Part, str] = {
    "train": (
        "en-us+m1 en-gb+f2 en-us+Alex fr-fr+f3 es+m3 de+f4 it+m2 pt-br+f1 nl+m5 pl+f5 ru+m4 sv+f2 tr+m7 cs+f3 da+m6 "
        "fi+f4 el+m8 hu+f1 ro+m3 hi+f5 id+m2 vi+f2 sw+m5 ca+f3 hr+m1 cmn+f4 ja+m4 ko+f1 ar+m7 fa+f2 en+Annie "
        "en+adam fr+anika es+pedro de+linda en-us+klatt2 en+steph pt+travis"
    ),
    "test": "en-gb-x-rp+Andy fr-be+Alicia es-419+Mario de+klatt4 it+Andrea pt+grandpa en+belinda nb+edward uk+victor",
}
_FLITE: dict[Part, str] = {"train": "slt awb kal16", "test": "rms"}
_FESTIVAL: dict[Part, str] = {
    "train": "czech_dita czech_ph suo_fi_lj_diphone lp_diphone upc_ca_ona_hts",
    "test": "hy_fi_mv_diphone pc_diphone",
}
_MUSIC: dict[Part, str] = {
    "train": "macroform-cold_day macroform-robot_dity manolo_camp-morning_coffee",
    "test": "macroform-the_simplicity reno_project-system",
}


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker, or one language's speakers where the package tells no more.

    Attributes:
        name: unique.
        package: the Debian package that it comes from.
        recorded: people were recorded; else it is synthetic.
        sources: files, or commands that each write one clip to the file appended to them.
    """

    name: str
    package: str
    recorded: bool
    sources: tuple[str | tuple[str, ...], ...]

    def clips(self, rate_hz: int = 8000) -> list[Clip]:
        """Its utterances of 0.25 s or more at 8000 or 16000 Hz, in -1..1; pauses within them are the speaker's."""
        return [clip for clip in _kept(self.name, rate_hz, self._render) if len(clip) >= _SHORTEST_S * rate_hz]

    def _render(self, rate_hz: int) -> Iterator[Clip]:
        with TemporaryDirectory() as folder:
            for source in self.sources:
                path = Path(source) if isinstance(source, str) else _spoken(source, Path(folder))
                yield read(path, rate_hz)


def voices(part: Part) -> list[Voice]:
    """The voices of one part whose package is installed; no voice is in both."""
    recorded = [
        Voice(name, package, True, _speech_files(files)) for name, package, of, files in _RECORDED if of == part
    ]
    return [voice for voice in recorded if voice.sources] + list(_synthetic(part))


def _speech_files(pattern: str) -> tuple[str, ...]:
    paths = map(str, sorted(Path("/").glob(pattern[1:])))
    return tuple(path for path in paths if not any(word in path for word in _NO_SPEECH))


def music(part: Part, rate_hz: int = 8000) -> list[Clip]:
    """Pieces of hold music (asterisk-moh-opsound-wav), three for training and two for tests."""
    paths = [Path(f"/usr/share/asterisk/moh/{name}.wav") for name in _MUSIC[part].split()]
    return _kept(f"music-{part}", rate_hz, lambda rate: (read(path, rate) for path in paths if path.exists()))


def _synthetic(part: Part) -> Iterator[Voice]:
    for name in _ESPEAK[part].split():
        commands = tuple(("espeak-ng", "-v", name, "-s", str(140 + 5 * n), text, "-w") for n, text in enumerate(_TEXT))
        yield Voice(f"espeak-{name}", "espeak-ng", False, commands)
    for name in _FLITE[part].split():
        yield Voice(f"flite-{name}", "flite", False, tuple(("flite", "-voice", name, "-t", text) for text in _TEXT))
    for name in _FESTIVAL[part].split():
        commands = tuple(("text2wave", "-eval", f"(voice_{name})", text) for text in _TEXT)
        yield Voice(f"festival-{name}", "festival", False, commands)


def _spoken(command: tuple[str, ...], folder: Path) -> Path:
    """The file that a synthesiser has written."""
    path = folder / "clip.wav"
    match command:
        case ("text2wave", *options, text):
            subprocess.run(["text2wave", *options, "-o", path], input=text.encode(), check=True, capture_output=True)
        case ("flite", *options):
            subprocess.run(["flite", *options, "-o", path], check=True, capture_output=True)
        case _:
            subprocess.run([*command, path], check=True, capture_output=True)
    return path


def read(path: Path, rate_hz: int) -> Clip:
    """The samples of a file that sox can read, its channels mixed."""
    raw = ["-t", "raw", "-e", "signed", "-b", "16", "-L", "-c", "1", "-r", str(rate_hz)]
    done = subprocess.run(["sox", "-R", path, *raw, "-"], check=True, capture_output=True)
    return np.frombuffer(done.stdout, dtype="<i2").astype(np.float32) / np.float32(32768)


def _kept(name: str, rate_hz: int, make: Callable[[int], Iterator[Clip]]) -> list[Clip]:
    path = CACHE / f"{name}-{rate_hz}.npz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        clips = list(make(rate_hz))
        with TemporaryDirectory(dir=CACHE) as folder:  # whoever finds it finds it whole
            made = Path(folder) / path.name
            np.savez(made, samples=np.concatenate(clips), lengths=[len(clip) for clip in clips])
            made.replace(path)
    with np.load(path) as kept:
        return np.split(kept["samples"], np.cumsum(kept["lengths"])[:-1])


def active_level_dbov(clip: Clip, rate_hz: int) -> float:
    """Level of a clip where its 10 ms are within 25 dB of it, found by going on until it stays; -100 if silent.

    0 dBov is a full-scale square wave.
    """
    power = np.square(hops(clip, rate_hz)).mean(axis=1) + 1e-10
    active = power > 0
    for _ in range(20):
        level = power[active].mean()
        active = power > level * 10**-2.5
    return float(10.0 * np.log10(level))


def speech_hops(clip: Clip, rate_hz: int) -> NDArray[np.bool_]:
    """Which 10 ms of a clean clip are speech: within 25 dB of its active level, gaps up to 200 ms bridged."""
    return bridged(loud_hops(clip, rate_hz), BRIDGED_HOPS)


def loud_hops(clip: Clip, rate_hz: int) -> NDArray[np.bool_]:
    """Which 10 ms of a clean clip are within 25 dB of its active level."""
    decibels = 10.0 * np.log10(np.square(hops(clip, rate_hz)).mean(axis=1) + 1e-10)
    loud: NDArray[np.bool_] = decibels > active_level_dbov(clip, rate_hz) - 25.0
    return loud


def bridged(loud: NDArray[np.bool_], longest: int) -> NDArray[np.bool_]:
    """With the gaps between loud hops that are no longer than this filled."""
    speech, at = loud.copy(), np.flatnonzero(loud)
    for gap in np.flatnonzero((np.diff(at) > 1) & (np.diff(at) <= longest + 1)):
        speech[at[gap] : at[gap + 1]] = True
    return speech


def hops(clip: Clip, rate_hz: int) -> NDArray[np.float64]:
    """A clip as (whole hops of 10 ms, samples)."""
    size = rate_hz // 100
    return clip[: len(clip) // size * size].astype(np.float64).reshape(-1, size)
