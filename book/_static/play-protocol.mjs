// The steps of the paper's protocol as the library has them, on planes: {width, height, planes: [red, green, blue]}, in grey levels.

const roundHalfEven = (x) => {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2) ? floor + 1 : floor;
};
const to8bit = (x) => Math.min(255, Math.max(0, Math.round(x)));
const mapPlanes = (image, change) => ({ ...image, planes: image.planes.map(change) });

// Pixels of a canvas, RGBA.
export const fromPixels = ({ width, height, data }) => ({
  width,
  height,
  planes: [0, 1, 2].map((channel) => Float32Array.from({ length: width * height }, (_, place) => data[4 * place + channel])),
});

export const toPixels = ({ width, height, planes }) => {
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  planes.forEach((plane, channel) => plane.forEach((value, place) => { data[4 * place + channel] = value; }));
  return new ImageData(data, width, height);
};

export const scaledShape = ({ width, height }, factor) => ({
  width: Math.max(1, roundHalfEven(width * factor)),
  height: Math.max(1, roundHalfEven(height * factor)),
});

const cubic = (x) => {
  const a = -0.5;
  const t = Math.abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
};

// For each output pixel of a line: the first input pixel and the weights from there on.
const taps = (from, to) => {
  const scale = from / to;
  const stretch = Math.max(1, scale);
  const reach = 2 * stretch;
  return Array.from({ length: to }, (_, place) => {
    const centre = scale * (place + 0.5);
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const last = Math.min(from, Math.floor(centre + reach + 0.5));
    const weights = Array.from({ length: last - first }, (__, tap) => cubic((first + tap + 0.5 - centre) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
};

// Bicubic with antialiasing, as torch has it; rounded after each direction if the outcome is to be 8 bits.
export const resized = (image, shape, rounded) => {
  const { width, height } = image;
  const finish = rounded ? to8bit : (x) => x;
  const across = width === shape.width ? null : taps(width, shape.width);
  const down = height === shape.height ? null : taps(height, shape.height);
  return {
    ...shape,
    planes: image.planes.map((plane) => {
      let wide = plane;
      if (across) {
        wide = new Float32Array(shape.width * height);
        for (let y = 0; y < height; y += 1) {
          across.forEach(({ first, weights }, x) => {
            let sum = 0;
            for (let tap = 0; tap < weights.length; tap += 1) sum += weights[tap] * plane[y * width + first + tap];
            wide[y * shape.width + x] = finish(sum);
          });
        }
      }
      if (!down) return wide;
      const made = new Float32Array(shape.width * shape.height);
      down.forEach(({ first, weights }, y) => {
        for (let x = 0; x < shape.width; x += 1) {
          let sum = 0;
          for (let tap = 0; tap < weights.length; tap += 1) sum += weights[tap] * wide[(first + tap) * shape.width + x];
          made[y * shape.width + x] = finish(sum);
        }
      });
      return made;
    }),
  };
};

export const toCanonical = (image, canonical) => resized(image, scaledShape(image, canonical / Math.min(image.width, image.height)), true);

// Whole-sample reflection, repeated where the line is shorter than what is asked of it.
const mirrored = (place, length) => {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const within = ((place % period) + period) % period;
  return within < length ? within : period - within;
};

const padded = (plane, width, height, across, down) => {
  const stride = width + 2 * across;
  const made = new Float32Array(stride * (height + 2 * down));
  for (let y = 0; y < height + 2 * down; y += 1) {
    const row = mirrored(y - down, height) * width;
    for (let x = 0; x < stride; x += 1) made[y * stride + x] = plane[row + mirrored(x - across, width)];
  }
  return made;
};

const convolved = (plane, width, height, kernel) => {
  const across = (kernel.width - 1) / 2;
  const down = (kernel.height - 1) / 2;
  const wide = padded(plane, width, height, across, down);
  const stride = width + 2 * across;
  const made = new Float32Array(width * height);
  kernel.values.forEach((value, place) => {
    if (!value) return;
    const shift = (2 * down - Math.floor(place / kernel.width)) * stride + 2 * across - (place % kernel.width); // flipped
    for (let y = 0; y < height; y += 1) {
      const from = y * stride + shift;
      for (let x = 0; x < width; x += 1) made[y * width + x] += value * wide[from + x];
    }
  });
  return made;
};

// Convolved with a PSF, given as kernels to apply one after another, and rounded to 8 bits.
export const blurred = (image, kernels) => mapPlanes(image, (plane) => kernels
  .reduce((now, kernel) => convolved(now, image.width, image.height, kernel), plane).map(to8bit));

// What a network says, {likely, entropy}, of its log-probabilities, which are renormalised.
export const told = (logP, classes, count) => {
  const values = Array.from(logP);
  const most = Math.max(...values);
  const shares = values.map((value) => Math.exp(value - most));
  const sum = shares.reduce((total, share) => total + share, 0);
  const probabilities = shares.map((share) => share / sum);
  const order = probabilities.map((_, place) => place).sort((one, other) => probabilities[other] - probabilities[one]);
  return {
    likely: order.slice(0, count).map((place) => [classes[place], probabilities[place]]),
    entropy: -probabilities.reduce((total, p) => total + (p > 0 ? p * Math.log(p) : 0), 0),
  };
};
