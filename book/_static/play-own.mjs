// An image of the reader's own on the page with a blur slider: resized, blurred and classified in the browser, sent nowhere.
import * as protocol from "./play-protocol.mjs";

const place = document.getElementById("play-own");
const folder = new URL(`${place.dataset.browser}/`, document.baseURI);
const { form, sources, show } = window.blurpaperPlay;
const LIKELY = 5;
let ready;
let queue = Promise.resolve();

const element = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const status = element("p", { className: "play-status" });
status.setAttribute("role", "status");
const input = element("input", { type: "file", accept: "image/*", id: "play-file" });
const drop = element("div", { className: "play-drop" }, element("label", {
  htmlFor: "play-file",
  textContent: "Choose a photograph, or drop one here. It stays in this browser; the networks are loaded from this book.",
}), element("div", {}, input));
place.replaceChildren(drop, status);

// The settings, and a function for each network: planes -> what it says.
const load = async () => {
  const [settings, ort] = await Promise.all([
    fetch(new URL("settings.json", folder)).then((answer) => answer.json()),
    import(new URL("ort.wasm.bundle.min.mjs", folder)),
  ]);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // more would need headers that not every server sends
  ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", folder).href };
  const networks = {};
  for (const [name, file] of Object.entries(settings.networks)) {
    const session = await ort.InferenceSession.create(new URL(file, folder).href, { executionProviders: ["wasm"] });
    networks[name] = async ({ width, height, planes }) => {
      const values = new Float32Array(3 * width * height);
      planes.forEach((plane, channel) => values.set(plane, channel * width * height));
      const { log_probabilities: output } = await session.run({ images: new ort.Tensor("float32", values, [1, 3, height, width]) });
      return protocol.told(output.data, settings.classes, LIKELY);
    };
  }
  return { settings, networks };
};

const pixelsOf = async (file) => {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = element("canvas", { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return protocol.fromPixels(context.getImageData(0, 0, bitmap.width, bitmap.height));
};

const asUri = (image) => {
  const canvas = element("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(protocol.toPixels(image), 0, 0);
  return canvas.toDataURL("image/jpeg", 0.9);
};

const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// One after another; what is no longer wanted when its turn comes is left out.
const see = (canonical, { settings, networks }) => (condition, draw, wanted) => {
  const work = async () => {
    await pause(60);
    if (!wanted()) return;
    const kernels = settings.psfs[condition];
    const seen = kernels ? protocol.blurred(canonical, kernels) : canonical;
    draw({ picture: asUri(seen) });
    await pause(20);
    const shape = protocol.scaledShape(seen, settings.pixels / settings.canonical);
    const shown = protocol.resized(seen, shape, false);
    const said = {};
    for (const [name, classify] of Object.entries(networks)) {
      if (!wanted()) return;
      said[name] = await classify(shown);
    }
    draw({ picture: asUri(seen), networks: said });
  };
  queue = queue.then(work).catch((error) => { status.textContent = `This went wrong: ${error.message}`; });
  return queue;
};

const take = async (file) => {
  if (!file) return;
  try {
    status.textContent = "Reading the photograph and loading the networks …";
    const [pixels, loaded] = await Promise.all([pixelsOf(file), ready ??= load()]);
    const canonical = protocol.toCanonical(pixels, loaded.settings.canonical);
    sources.set("own", {
      title: "Photograph of your own",
      answers: [],
      source: file.name,
      size: [canonical.width, canonical.height],
      see: see(canonical, loaded),
    });
    if (!form.querySelector("input[value='own']")) {
      form.querySelector("fieldset[data-name='photograph'] > div").append(
        element("label", {}, element("input", { type: "radio", name: "photograph", value: "own" }), " ", element("span", { textContent: "your own" })),
      );
    }
    form.elements.photograph.value = "own";
    status.textContent = `${file.name} is shown above, at the slider.`;
    form.scrollIntoView({ block: "start" });
    await show();
  } catch (error) {
    ready = undefined;
    status.textContent = `${file.name} cannot be shown: ${error.message}`;
  }
};

input.addEventListener("change", () => take(input.files[0]));
["dragenter", "dragover"].forEach((name) => drop.addEventListener(name, (event) => {
  event.preventDefault();
  drop.classList.add("over");
}));
["dragleave", "drop"].forEach((name) => drop.addEventListener(name, () => drop.classList.remove("over")));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files[0]);
});
