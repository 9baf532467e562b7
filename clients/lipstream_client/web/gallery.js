/** The choice of avatars: one radio button with a picture for each. */

export class Gallery {
  /** list: the element that holds them. chosen: called with an avatar. */
  constructor(list, chosen) {
    this.list = list;
    this.chosen = chosen;
  }

  show(avatars, selected) {
    this.list.replaceChildren(...avatars.map((avatar) => this.tile(avatar, avatar.id === selected)));
  }

  /** One more, chosen at once; the same picture brought twice is there once. */
  add(avatar) {
    const id = tileId(avatar);
    if (!document.getElementById(id)) this.list.append(this.tile(avatar, true));
    const radio = document.getElementById(id);
    radio.checked = true;
    radio.closest("li").scrollIntoView({ block: "nearest", inline: "nearest" });
    this.chosen(avatar);
  }

  tile(avatar, checked) {
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: "avatar", id: tileId(avatar), value: avatar.id, checked });
    radio.addEventListener("change", () => this.chosen(avatar));
    const picture = document.createElement("img");
    Object.assign(picture, { src: avatar.preview, alt: "", width: 96, height: 96, draggable: false });
    const name = document.createElement("span");
    name.textContent = avatar.name;
    const label = document.createElement("label");
    label.htmlFor = radio.id;
    label.title = avatar.name;
    label.append(picture, name);
    const item = document.createElement("li");
    item.append(radio, label);
    return item;
  }
}

function tileId(avatar) {
  return `avatar-${avatar.id}`;
}
