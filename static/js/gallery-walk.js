// Where an arrow leads in the gallery: along the rows of one class, and on into the next class.

/** The tile that `key` (an arrow, Home or End) leads to from `one`; undefined at the edge. */
export function neighbour(one, key) {
  const lists = [...document.querySelectorAll("#gallery-groups .group:not([hidden]) [data-gallery]")];
  const tiles = lists.map((list) => [...list.children].filter((li) => !li.hidden));
  const at = lists.indexOf(one.parentElement);
  const mine = tiles[at];
  const i = mine.indexOf(one);
  const columns = getComputedStyle(lists[at]).gridTemplateColumns.split(" ").length;
  const row = Math.floor(i / columns);
  const all = tiles.flat();
  switch (key) {
    case "ArrowRight": return all[all.indexOf(one) + 1];
    case "ArrowLeft": return all[all.indexOf(one) - 1];
    case "Home": return mine[0];
    case "End": return mine.at(-1);
    case "ArrowDown": {
      if (row < Math.floor((mine.length - 1) / columns)) return mine[i + columns] ?? mine.at(-1);
      const below = tiles[at + 1];
      return below?.[Math.min(i % columns, below.length - 1)];
    }
    default: {
      if (row > 0) return mine[i - columns];
      const above = tiles[at - 1];
      const last = above && Math.floor((above.length - 1) / columns) * columns;
      return above?.[Math.min(last + (i % columns), above.length - 1)];
    }
  }
}
