// The report of one call: unpacks its data, draws the timeline, and ties the table of findings to it.

const call = JSON.parse(document.getElementById("call").textContent);
for (const channel of call.channels) {
  channel.levels = Int8Array.from(atob(channel.levels), (letter) => letter.charCodeAt(0) - 128);
}

const shown = document.getElementById("shown");
const timeline = new Timeline(document.getElementById("timeline"), call, ({ from, to }) => {
  shown.textContent = `Showing ${clock(Math.round(from))} to ${clock(Math.round(to))}`;
});

const whole = call.durationMs;
const actions = {
  in: () => timeline.zoom(0.5),
  out: () => timeline.zoom(2),
  left: () => timeline.move(-0.2),
  right: () => timeline.move(0.2),
  whole: () => timeline.show(0, whole),
};
for (const button of document.querySelectorAll("button[data-do]")) {
  button.addEventListener("click", actions[button.dataset.do]);
}
for (const button of document.querySelectorAll("button[data-from]")) {
  button.addEventListener("click", () => {
    const from = Number(button.dataset.from);
    const around = Math.max(5000, Number(button.dataset.for));
    timeline.show(from - around / 2, from + Number(button.dataset.for) + around / 2);
    timeline.svg.focus();
  });
}
