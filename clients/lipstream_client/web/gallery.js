/** The choice of avatars: one radio button with a preview for each. */

export class Gallery {
  /** list: the element that contains the tiles. onSelect: called with the selected avatar. */
  constructor(list, onSelect) {
    this.list = list;
    this.onSelect = onSelect;
  }

  show(avatars, selected) {
    this.list.replaceChildren(...avatars.map((avatar) => this.createTile(avatar, avatar.id === selected)));
  }

  /** Add an avatar and select it. The same image uploaded twice is one avatar. */
  add(avatar) {
    const id = tileId(avatar);
    if (!document.getElementById(id)) this.list.append(this.createTile(avatar, true));
    const radio = document.getElementById(id);
    radio.checked = true;
    radio.closest("li").scrollIntoView({ block: "nearest", inline: "nearest" });
    this.onSelect(avatar);
  }

  createTile(avatar, checked) {
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: "avatar", id: tileId(avatar), value: avatar.id, checked });
    radio.addEventListener("change", () => this.onSelect(avatar));
    const preview = document.createElement("img");
    Object.assign(preview, { src: avatar.preview, alt: "", width: 96, height: 96, draggable: false });
    const name = document.createElement("span");
    name.textContent = avatar.name;
    const label = document.createElement("label");
    label.htmlFor = radio.id;
    label.title = avatar.name;
    label.append(preview, name);
    const item = document.createElement("li");
    item.append(radio, label);
    return item;
  }
}

function tileId(avatar) {
  return `avatar-${avatar.id}`;
}
