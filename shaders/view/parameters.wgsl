// One picture: planes of f32 in, an rgba8unorm texture (sRGB bytes) out. `src/view` says what it means and draws the
// same on the CPU (`cpu.rs`, `sample.rs`, `contour.rs`): change both together. The files of this folder are one module.

// Known when the pipeline is made, so that a plain image pays nothing for contours or colour: there is one pipeline for each kind.
override MODE: u32 = 0u; // 0 image, 1 noise, 2 mask, 3 overlay, 4 difference
override REGIME: u32 = 0u; // 0 magnified, 1 averaged over an area, 2 the same beyond 7 image pixels a side
override CHANNELS: bool = false; // whether the image has several channels: RGB, or noise to be averaged

struct Parameters {
    mode: u32, // as MODE
    flags: u32,
    size: vec2<u32>, // of the output
    image: vec2<u32>, // of the planes
    channels: u32,
    unused_0: u32,
    scale_x: f32, // image pixels per output pixel along the image's columns; negative where flipped
    offset_x: f32,
    offset_y: f32,
    gain: f32,
    window_lower: f32,
    window_slope: f32,
    fill: f32,
    scale_y: f32, // the same along its rows
    first: vec4<u32>, // element at which image, mask and second mask begin
    phase: vec4<u32>, // of stripes and dashes, x and y
    colours: array<vec4<f32>, 20>,
}

const LINEAR = 1u;
const GRID = 2u;
const CONTOUR = 4u;
const MASK_IS_REFERENCE = 8u;
const SECOND_IS_REFERENCE = 16u;
const HAS_SECOND = 32u;
const MASK_IS_CLASSES = 64u;
const SECOND_IS_CLASSES = 128u;
const TRANSPOSED = 256u; // the image's columns run down the output

const IMAGE_MODE = 0u;
const NOISE_MODE = 1u;
const MASK_MODE = 2u;
const OVERLAY_MODE = 3u;
const DIFFERENCE_MODE = 4u;

const MAGNIFIED = 0u;
const SPREAD = 2u;

const BACKGROUND = 0;
const ZERO = 1;
const LOW = 2;
const HIGH = 3;
const NEGATIVE = 4;
const POSITIVE = 5;
const SECOND = 6;
const APPEARED = 7;
const VANISHED = 8;
const AGREED = 9;
const IGNORED = 10;
const NOT_FINITE = 11;
const EDGE = 12;
const FIRST_CLASS = 13;
const CLASSES = 7;

@group(0) @binding(0) var<uniform> p: Parameters;
@group(0) @binding(1) var<storage, read> image_plane: array<f32>;
@group(0) @binding(2) var<storage, read> mask_plane: array<f32>;
@group(0) @binding(3) var<storage, read> second_plane: array<f32>;
@group(0) @binding(4) var picture: texture_storage_2d<rgba8unorm, write>;
