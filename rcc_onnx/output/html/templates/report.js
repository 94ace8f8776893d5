(() => {
  "use strict";

  const COLOURS = ["", "#56c3f5", "#56c3f5", "#ff9f1c"];
  const LARGEST_FIRST = new Set(["diameter", "volume", "sum", "flags", "seconds"]);

  const table = document.getElementById("cohort");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const controls = document.getElementById("controls");
  const search = document.getElementById("search");
  const sortBy = document.getElementById("sort-by");
  const count = document.getElementById("count");
  const cases = document.getElementById("cases");

  // The table: filters, search, order.

  const ticked = (name) =>
    [...controls.querySelectorAll(`input[name=${name}]:checked`)].map((one) => one.value);

  const fits = (row, outcomes, flags, words) => {
    const own = (key) => row.dataset[key].split("\n");
    const text = row.textContent.toLowerCase();
    return (
      (!outcomes.length || outcomes.some((one) => own("outcomes").includes(one))) &&
      (!flags.length || flags.some((one) => own("flags").includes(one))) &&
      words.every((word) => text.includes(word))
    );
  };

  const filter = () => {
    const outcomes = ticked("outcome");
    const flags = ticked("flag");
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !fits(row, outcomes, flags, words);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} cases`;
    document.getElementById("nothing").hidden = shown > 0;
    updateNeighbours();
  };

  const valueOf = (row, key) => row.querySelector(`[data-key=${key}]`).dataset.value;

  const sort = (key, descending) => {
    const isNumber = LARGEST_FIRST.has(key);
    const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
    const order = (one, other) => {
      const [a, b] = [valueOf(one, key), valueOf(other, key)];
      // Rows without a value come last, whichever way the others go.
      if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
      const by = isNumber ? Number(a) - Number(b) : names.compare(a, b);
      return descending ? -by : by;
    };
    const inRunOrder = (one, other) => one.dataset.number - other.dataset.number;
    rows.sort((one, other) => (key && order(one, other)) || inRunOrder(one, other));
    body.append(...rows);
    for (const heading of table.tHead.rows[0].cells) {
      const isIt = heading.dataset.key === key;
      heading.setAttribute("aria-sort", isIt ? (descending ? "descending" : "ascending") : "none");
    }
    sortBy.value = key;
    updateNeighbours();
  };

  table.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (!heading) return;
    const { key } = heading.dataset;
    const now = heading.getAttribute("aria-sort");
    const first = LARGEST_FIRST.has(key) ? "descending" : "ascending";
    sort(key, now === "none" ? first === "descending" : now === "ascending");
  });
  sortBy.addEventListener("change", () => sort(sortBy.value, LARGEST_FIRST.has(sortBy.value)));
  controls.addEventListener("input", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("reset", () => setTimeout(filter));
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row && !event.target.closest("a") && !String(getSelection())) open(row.dataset.number);
  });

  // Cases: made of their template when opened, so that no image is decoded before.

  const make = (number) => {
    const article = document.getElementById(`template-${number}`).content.cloneNode(true);
    const scroller = article.querySelector(".scroller");
    cases.append(article);
    if (scroller) startScroller(cases.lastElementChild.querySelector(".scroller"));
  };

  const shownNumbers = () => rows.filter((row) => !row.hidden).map((row) => row.dataset.number);

  const neighbour = (number, step) => {
    const numbers = shownNumbers();
    const at = numbers.indexOf(number);
    return at < 0 ? undefined : numbers[at + step];
  };

  const updateNeighbours = () => {
    for (const article of cases.querySelectorAll(".case")) {
      const { number } = article.dataset;
      article.querySelector("[data-go=previous]").disabled = !neighbour(number, -1);
      article.querySelector("[data-go=next]").disabled = !neighbour(number, 1);
    }
  };

  const open = (number) => {
    if (location.hash === `#case-${number}`) show();
    else location.hash = `#case-${number}`;
  };

  const show = () => {
    const found = /^#case-(\d+)$/.exec(location.hash);
    const row = found && rows.find((one) => one.dataset.number === found[1]);
    cases.replaceChildren();
    for (const one of rows) one.classList.toggle("open", one === row);
    if (!row) return;
    make(found[1]);
    updateNeighbours();
    const article = cases.lastElementChild;
    article.scrollIntoView();
    article.querySelector("h2").focus({ preventScroll: true });
  };

  cases.addEventListener("click", (event) => {
    const button = event.target.closest("[data-go]");
    if (!button) return;
    const { number } = button.closest(".case").dataset;
    if (button.dataset.go === "close") {
      history.replaceState(null, "", location.pathname + location.search);
      show();
      const link = body.querySelector(`tr[data-number="${number}"] a`);
      link.focus();
      return;
    }
    const next = neighbour(number, button.dataset.go === "next" ? 1 : -1);
    if (next) open(next);
  });
  addEventListener("hashchange", show);

  document.getElementById("print-all").addEventListener("click", async () => {
    cases.replaceChildren();
    for (const number of shownNumbers()) make(number);
    await Promise.all([...cases.querySelectorAll(".overview img")].map((one) => one.decode()));
    print();
    show();
  });

  // The slices of a case.

  const startScroller = (root) => {
    const slices = JSON.parse(root.querySelector(".slices").textContent);
    const canvas = root.querySelector("canvas");
    const stage = root.querySelector(".stage");
    const slider = root.querySelector("input[type=range]");
    const masks = root.querySelector(".masks");
    const position = root.querySelector(".position output");
    const sheet = root.querySelector(".sheet");
    const last = slices.numbers.length - 1;

    const draw = () => {
      const at = Number(slider.value);
      const words = `slice ${slices.numbers[at]}, z ${Math.round(slices.z_mm[at])} mm`;
      position.textContent = `${words} (${at + 1} of ${last + 1} shown)`;
      slider.setAttribute("aria-valuetext", words);
      canvas.setAttribute("aria-label", `Axial ${words}`);
      canvas.dataset.slice = at;
      if (!sheet.complete || !sheet.naturalWidth) return;
      const { size, columns } = slices;
      const pen = canvas.getContext("2d");
      pen.imageSmoothingQuality = "high";
      const [left, top] = [(at % columns) * size, Math.floor(at / columns) * size];
      pen.drawImage(sheet, left, top, size, size, 0, 0, canvas.width, canvas.height);
      if (masks.checked) outline(pen, slices.runs[at], size, canvas.width / size);
      bar(pen, canvas, slices.pixel_mm, size);
    };

    const go = (at) => {
      slider.value = Math.max(0, Math.min(last, at));
      draw();
    };
    const by = (step) => go(Number(slider.value) + step);

    const steps = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -5, PageDown: 5 };
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in steps) by(steps[event.key]);
      else if (event.key === "Home") go(0);
      else if (event.key === "End") go(last);
      else if (event.key === "m" || event.key === "M") masks.click();
      else return;
      event.preventDefault();
    });
    let turned = 0;
    stage.addEventListener("wheel", (event) => {
      if (event.ctrlKey) return;
      event.preventDefault();
      // Touch pads send many small turns, wheels few large ones.
      turned += event.deltaMode === 0 ? event.deltaY : event.deltaY * 40;
      const step = Math.trunc(turned / 40);
      if (!step) return;
      turned -= step * 40;
      by(Math.max(-3, Math.min(3, step)));
    }, { passive: false });
    let from = null;
    stage.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, slice: Number(slider.value) };
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!from) return;
      // A finger moves slices sideways, as up and down moves the page; a mouse does both.
      const up = event.pointerType === "mouse" ? event.clientY - from.y : 0;
      go(from.slice + Math.round((event.clientX - from.x + up) / 8));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, () => { from = null; });
    }
    slider.addEventListener("input", draw);
    masks.addEventListener("change", draw);
    for (const button of root.querySelectorAll("[data-slice]")) {
      button.addEventListener("click", () => go(Number(button.dataset.slice)));
    }
    sheet.addEventListener("load", draw);
    draw();
  };

  // Lines between pixels of different labels.
  const outline = (pen, runs, size, scale) => {
    const labels = new Uint8Array(size * size);
    let at = 0;
    for (let index = 0; index < runs.length; index += 3) {
      at += runs[index];
      labels.fill(runs[index + 2], at, at + runs[index + 1]);
      at += runs[index + 1];
    }
    const paths = COLOURS.map(() => new Path2D());
    const line = (label, x0, y0, x1, y1) => {
      paths[label].moveTo(x0 * scale, y0 * scale);
      paths[label].lineTo(x1 * scale, y1 * scale);
    };
    for (let y = 0; y < size; y += 1) {
      for (let x = 0; x < size; x += 1) {
        const here = labels[y * size + x];
        const right = x + 1 < size ? labels[y * size + x + 1] : 0;
        const below = y + 1 < size ? labels[(y + 1) * size + x] : 0;
        if (here !== right) line(Math.max(here, right), x + 1, y, x + 1, y + 1);
        if (here !== below) line(Math.max(here, below), x, y + 1, x + 1, y + 1);
      }
    }
    pen.lineCap = "round";
    paths.forEach((path, label) => {
      if (!label) return;
      pen.strokeStyle = "#000";
      pen.lineWidth = 4.5;
      pen.stroke(path);
      pen.strokeStyle = COLOURS[label];
      pen.lineWidth = 2.5;
      pen.stroke(path);
    });
  };

  const bar = (pen, canvas, pixelMm, size) => {
    const length = (50 / (pixelMm * size)) * canvas.width;
    const [right, bottom] = [canvas.width - 20, canvas.height - 20];
    for (const [colour, width] of [["#000", 6], ["#fff", 3]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.beginPath();
      pen.moveTo(right - length, bottom);
      pen.lineTo(right, bottom);
      pen.stroke();
    }
    pen.font = "600 20px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.lineWidth = 4;
    pen.strokeStyle = "#000";
    pen.strokeText("5 cm", right - length / 2, bottom - 10);
    pen.fillStyle = "#fff";
    pen.fillText("5 cm", right - length / 2, bottom - 10);
  };

  if (location.hash) show();
  else if (rows.length === 1) { make("1"); updateNeighbours(); rows[0].classList.add("open"); }
})();
