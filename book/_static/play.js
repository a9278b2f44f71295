// The page with a blur slider: shows of the data that came with it what the controls ask for.
(() => {
  const root = document.getElementById("play");
  const data = JSON.parse(document.getElementById("play-data").textContent);
  const form = root.querySelector("form");
  const [picture, caption] = [form.querySelector("figure img"), form.querySelector("figcaption")];
  const [size, notch, summary] = [form.elements.size, form.querySelector("output"), form.querySelector(".play-summary")];
  let speaking;

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const percent = (share) => `${(100 * share).toFixed(share && share < 0.1 ? 1 : 0)}\u00a0%`;
  const bar = (cell, share, text) => {
    const strip = element("span", undefined, "play-strip");
    const filled = element("span");
    filled.style.width = `${100 * Math.min(1, share)}%`;
    strip.append(filled);
    cell.replaceChildren(strip, element("span", text, "play-number"));
    return cell;
  };

  const drawNetwork = (name, told, answers) => {
    const panel = form.querySelector(`section[data-network="${name}"]`);
    panel.querySelector("tbody").replaceChildren(...told.likely.map(([label, probability]) => {
      const row = element("tr");
      const right = answers.includes(label);
      const head = element("th", right ? `${label} ✓` : label);
      head.scope = "row";
      if (right) {
        row.className = "play-right";
        head.append(element("span", " (right)", "play-unseen"));
      }
      row.append(head, bar(element("td"), probability, percent(probability)));
      return row;
    }));
    panel.querySelector(".play-entropy").textContent = `entropy ${told.entropy.toFixed(2)} nats`;
  };

  const drawDistances = (networks) => {
    form.querySelectorAll(".play-distances tbody tr").forEach((row, stage) => row.querySelectorAll("td").forEach((cell) => {
      const value = networks[cell.dataset.network].distances[stage];
      bar(cell, 2 * value, value.toFixed(2));
    }));
  };

  const sentence = (step, networks) => `Under ${step.said}: ` + Object.entries(networks).map(([name, told]) => {
    const [label, probability] = told.likely[0];
    return `${name} says ${label} (${percent(probability)}), entropy ${told.entropy.toFixed(2)} nats`;
  }).join("; ") + ".";

  const chosen = () => {
    const kind = data.kinds.find((one) => one.key === form.elements.kind.value);
    return [data.photographs[form.elements.photograph.value], kind.steps[Number(size.value)]];
  };

  const show = () => {
    const [photograph, step] = chosen();
    const seen = photograph.seen[step.condition];
    notch.textContent = step.said;
    size.setAttribute("aria-valuetext", step.said);
    picture.src = seen.picture;
    [picture.width, picture.height] = photograph.size;
    picture.alt = `${photograph.title}, ${step.condition === "sharp" ? "sharp" : `blurred by ${step.said}`}`;
    caption.textContent = photograph.source;
    Object.entries(seen.networks).forEach(([name, told]) => drawNetwork(name, told, photograph.answers));
    drawDistances(seen.networks);
    form.dataset.shown = `${form.elements.photograph.value} ${step.condition}`;
    clearTimeout(speaking);
    speaking = setTimeout(() => { summary.textContent = sentence(step, seen.networks); }, summary.textContent ? 400 : 0);
  };

  const kind = data.kinds.find((one) => one.steps.some((step) => step.condition === data.first));
  form.elements.kind.value = kind.key;
  size.value = kind.steps.findIndex((step) => step.condition === data.first);
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  root.querySelector(".play-plain").hidden = true;
  form.hidden = false;
  show();
})();
