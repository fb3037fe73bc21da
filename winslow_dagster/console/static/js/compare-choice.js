// A form whose ticked rows are compared: the button can be pressed once two are ticked.
function show(form) {
  const button = form.querySelector("[data-compare]");
  if (button) button.disabled = form.querySelectorAll('input[name="attempts"]:checked').length < 2;
}
document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-compare-choice]");
  if (form) show(form);
});
document.addEventListener("htmx:after:swap", () => { for (const form of document.querySelectorAll("[data-compare-choice]")) show(form); });
for (const form of document.querySelectorAll("[data-compare-choice]")) show(form);
