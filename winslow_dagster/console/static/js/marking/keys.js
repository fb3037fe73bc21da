// Keys while the picture or a list of marks has the focus. In a field where text is typed, they are the field's.
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FINE = 0.1;

export function listenForMarkingKeys(root, board, marks) {
  root.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=radio], [type=checkbox]), textarea, select");
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "z") {
      if (typing && event.target.value !== event.target.dataset.shown) return;
      event.preventDefault();
      if (event.shiftKey) marks.redo(); else marks.undo();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = () => { event.preventDefault(); event.stopPropagation(); };
    if (event.key in STEPS && event.target.closest(".board")) {
      const size = event.shiftKey ? FINE : 1, [dx, dy] = STEPS[event.key];
      if (marks.nudge(dx * size, dy * size)) { act(); board.lookAtSelected(); }
    } else if ((event.key === "Delete" || event.key === "Backspace") && marks.selected) {
      act();
      marks.remove();
    } else if (event.key === "Enter" && event.target.closest(".board")) {
      if (marks.finish()) act();
    } else if (event.key === "Escape" && marks.selected) {
      act();
      marks.select(null);
    }
    // Before the view of the picture, which moves by the same keys.
  }, { capture: true });
  root.addEventListener("keyup", (event) => { if (event.key in STEPS) board.leave(); });
}
