// A file or folder that is chosen in <input type="file" data-replaces=ID data-replaces-name=NAME> is sent to take the
// place of that file of the pool. The tray of the page sends it.
import { say } from "./messages.js";
import { chosenFiles, chosenFolders } from "./uploads/dropped.js";

document.addEventListener("change", ({ target: input }) => {
  if (!input.matches("input[data-replaces]") || !input.files.length) return;
  const replaces = { id: input.dataset.replaces, name: input.dataset.replacesName };
  const chosen = input.webkitdirectory ? chosenFolders(input.files) : chosenFiles(input.files);
  document.querySelector("upload-tray").send(chosen.map((each) => ({ ...each, replaces })));
  input.closest("dialog")?.close();
  say(`${chosen[0].name} takes the place of ${replaces.name} once all of it is sent.`, "good");
});
