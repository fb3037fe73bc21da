// <upload-area>: where files are chosen or dropped. The tray of the page sends them.
import { say } from "./messages.js";
import { chosenFiles, chosenFolders, dropped } from "./uploads/dropped.js";

class UploadArea extends HTMLElement {
  connectedCallback() {
    const drop = this.querySelector("[data-drop]");
    for (const input of this.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => { this.send(input.webkitdirectory ? chosenFolders(input.files) : chosenFiles(input.files)); input.value = ""; });
    }
    for (const kind of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.toggle("over", kind === "dragover"); });
    }
    drop.addEventListener("drop", async (event) => this.send(await dropped(event.dataTransfer)));
    this.addEventListener("click", (event) => {
      const id = event.target.closest("[data-forget]")?.dataset.forget;
      if (id && confirm("Forget this upload? What has arrived of it is deleted.")) this.forget(id);
    });
    document.addEventListener("winslow:uploads", ({ detail }) => {
      for (const row of this.querySelectorAll("[data-upload]")) {
        const job = detail.find((each) => each.url?.endsWith(row.dataset.upload));
        if (["stored", "cancelled"].includes(job?.state)) row.remove();
        else row.hidden = Boolean(job);
      }
      this.#hideIfEmpty();
    });
  }

  send(chosen) {
    document.querySelector("upload-tray").send(chosen);
  }

  async forget(id) {
    const answer = await fetch(`/api/v1/uploads/${id}`, { method: "DELETE" }).catch(() => null);
    if (answer?.ok) this.querySelector(`[data-upload="${CSS.escape(id)}"]`)?.remove();
    else say("The upload could not be forgotten. Try again.", "bad");
    this.#hideIfEmpty();
  }

  // What the tray shows is not listed a second time.
  #hideIfEmpty() {
    const unfinished = this.querySelector("section");
    if (unfinished) unfinished.hidden = !unfinished.querySelector("[data-upload]:not([hidden])");
  }
}

customElements.define("upload-area", UploadArea);
