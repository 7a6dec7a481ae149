// Which sizes do the channels ask for?  WIDTHxHEIGHT in pixels, or the photo's own.

export const CHANNELS = [
  ["1080x1350", "instagram"], ["1080x1920", "story"], ["1080x1080", "square"], ["1200x628", "facebook"],
  ["1000x1500", "pinterest"], ["2000x2000", "amazon"], ["1464x600", "amazon_banner"], ["1600x1600", "shop"],
  ["1920x720", "shop_banner"], ["source", "source"],
];

/** (width, height) of an image of size `size` for a photo of `width` × `height`. */
export function measure(size, width = 1, height = 1) {
  const pair = /^(\d+)x(\d+)$/.exec(size);
  return pair ? [Number(pair[1]), Number(pair[2])] : [width, height];
}
