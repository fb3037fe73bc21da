// One zoom and one place for several pictures: whoever moves one moves all. Pictures of different sizes show the same part.
import "../zoom-view.js";

export class LockedView {
  #widths = new Map(); // of what was drawn last

  // `views` are <zoom-view> elements of equal size.
  constructor(views) {
    this.views = views;
    for (const view of views) view.addEventListener("transform", (event) => { if (event.detail.byPerson) this.#follow(view); });
  }

  get leader() { return this.views[0]; }

  // How many times larger than its window the picture is.
  get scale() { return (this.leader.view.k * this.leader.pictureWidth) / this.leader.clientWidth; }

  zoom(how) {
    const { leader } = this;
    if (how === "fit") leader.fit();
    else if (how === "one") leader.actual();
    else leader.zoomBy(how === "in" ? 1.5 : 1 / 1.5);
    this.#follow(leader);
  }

  // After pictures were drawn anew, perhaps at another size: the same part is shown.
  redrawn() {
    for (const view of this.views) {
      const before = this.#widths.get(view), { k, x, y } = view.view;
      view.refresh();
      this.#widths.set(view, view.pictureWidth);
      if (before === undefined) view.fit();
      else if (view.pictureWidth !== before) view.view = { k: (k * before) / view.pictureWidth, x, y };
    }
  }

  #follow(leader) {
    const { k, x, y } = leader.view;
    for (const view of this.views) {
      if (view !== leader && view.pictureWidth) view.view = { k: (k * leader.pictureWidth) / view.pictureWidth, x, y };
    }
    this.moved?.();
  }
}
