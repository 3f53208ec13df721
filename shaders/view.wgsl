// One picture: planes of f32 in, an rgba8unorm texture (sRGB bytes) out. `src/view` says what it means and draws the
// same on the CPU (`cpu.rs`, `sample.rs`, `contour.rs`): change both together.

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

// ---- one output pixel's worth of a plane ----

const IMAGE = 0u;
const MASK = 1u;
const SECOND_MASK = 2u;
const TINT = 3u;

fn is_on(yes: bool) -> f32 {
    return select(0.0, 1.0, yes);
}

// The colour of a class; black for the background.
fn tint_of(of_class: f32) -> vec3<f32> {
    if !(of_class > 0.5) {
        return vec3(0.0);
    }
    return p.colours[FIRST_CLASS + (i32(round(of_class)) - 1) % CLASSES].rgb;
}

// What is averaged, by kind of picture: RGB, the mean of channels, a mask's (field, share, ignored), or its classes' colours.
fn value(layer: u32, index: u32) -> vec3<f32> {
    if layer == IMAGE {
        let size = p.image.x * p.image.y;
        let at = p.first.x + index;
        if MODE == NOISE_MODE && CHANNELS {
            var sum = 0.0;
            for (var channel = 0u; channel < p.channels; channel++) {
                sum += image_plane[at + channel * size];
            }
            return vec3(sum / f32(p.channels));
        }
        if CHANNELS {
            return vec3(image_plane[at], image_plane[at + size], image_plane[at + 2u * size]);
        }
        return vec3(image_plane[at]);
    }
    if layer == TINT {
        return tint_of(mask_plane[p.first.y + index]);
    }
    var v: f32;
    var reference: bool;
    if layer == MASK {
        v = mask_plane[p.first.y + index];
        reference = (p.flags & (MASK_IS_REFERENCE | MASK_IS_CLASSES)) != 0u;
    } else {
        v = second_plane[p.first.z + index];
        reference = (p.flags & (SECOND_IS_REFERENCE | SECOND_IS_CLASSES)) != 0u;
    }
    if reference {
        let positive = is_on(v > 0.5);
        return vec3(positive, positive, is_on(v < -0.5)); // the class itself is read by class_at
    }
    return vec3(v, is_on(v >= 0.5), 0.0);
}

fn index_at(position: f32, length: u32) -> u32 {
    return u32(clamp(position, 0.0, f32(length - 1u)));
}

struct Taps {
    low: f32,
    high: f32,
    first: i32,
    count: u32,
}

fn taps_around(centre: f32, scale: f32) -> Taps {
    let low = centre - 0.5 * scale;
    let high = centre + 0.5 * scale;
    if REGIME == SPREAD {
        return Taps(low, high, 0, 8u);
    }
    let first = i32(floor(low));
    return Taps(low, high, first, min(u32(i32(floor(high)) - first) + 1u, 8u));
}

fn tap_index(taps: Taps, k: u32, length: u32) -> u32 {
    if REGIME == SPREAD {
        return index_at(floor(taps.low + (f32(k) + 0.5) * ((taps.high - taps.low) / 8.0)), length);
    }
    return u32(clamp(taps.first + i32(k), 0, i32(length) - 1));
}

// Image pixels that the tap stands for.
fn tap_overlap(taps: Taps, k: u32) -> f32 {
    if REGIME == SPREAD {
        return 0.125 * (taps.high - taps.low);
    }
    let left = f32(taps.first + i32(k));
    return max(min(left + 1.0, taps.high) - max(left, taps.low), 0.0);
}

fn area(layer: u32, at: vec2<f32>) -> vec3<f32> {
    let scale = abs(vec2(p.scale_x, p.scale_y));
    let x = taps_around(at.x, scale.x);
    let y = taps_around(at.y, scale.y);
    var sum = vec3(0.0);
    for (var j = 0u; j < y.count; j++) {
        let start = tap_index(y, j, p.image.y) * p.image.x;
        var row = vec3(0.0);
        for (var i = 0u; i < x.count; i++) {
            row += value(layer, start + tap_index(x, i, p.image.x)) * tap_overlap(x, i);
        }
        sum += row * tap_overlap(y, j);
    }
    return sum / (scale.x * scale.y);
}

fn nearest(layer: u32, at: vec2<f32>) -> vec3<f32> {
    return value(layer, index_at(floor(at.y), p.image.y) * p.image.x + index_at(floor(at.x), p.image.x));
}

fn bilinear(layer: u32, at: vec2<f32>) -> vec3<f32> {
    let low = floor(at - 0.5);
    let fraction = at - 0.5 - low;
    let left = index_at(low.x, p.image.x);
    let right = index_at(low.x + 1.0, p.image.x);
    let upper = index_at(low.y, p.image.y) * p.image.x;
    let lower = index_at(low.y + 1.0, p.image.y) * p.image.x;
    let a = value(layer, upper + left);
    let b = value(layer, upper + right);
    let c = value(layer, lower + left);
    let d = value(layer, lower + right);
    let top = a + (b - a) * fraction.x;
    let bottom = c + (d - c) * fraction.x;
    return top + (bottom - top) * fraction.y;
}

fn sample_image(at: vec2<f32>) -> vec3<f32> {
    if REGIME != MAGNIFIED {
        return area(IMAGE, at);
    }
    if (p.flags & LINEAR) != 0u {
        return bilinear(IMAGE, at);
    }
    return nearest(IMAGE, at);
}

fn is_reference(layer: u32) -> bool {
    return (p.flags & select(SECOND_IS_REFERENCE, MASK_IS_REFERENCE, layer == MASK)) != 0u;
}

fn is_classes(layer: u32) -> bool {
    return (p.flags & select(SECOND_IS_CLASSES, MASK_IS_CLASSES, layer == MASK)) != 0u;
}

// The class of the pixel at a position.
fn class_at(layer: u32, at: vec2<f32>) -> f32 {
    let index = index_at(floor(at.y), p.image.y) * p.image.x + index_at(floor(at.x), p.image.x);
    if layer == MASK {
        return mask_plane[p.first.y + index];
    }
    return second_plane[p.first.z + index];
}

// (field whose ½-contour is drawn, or class; share that is positive, or of a class; share that is ignored)
fn sample_mask(layer: u32, at: vec2<f32>) -> vec3<f32> {
    if is_classes(layer) {
        if REGIME != MAGNIFIED {
            return vec3(class_at(layer, at), area(layer, at).yz);
        }
        return vec3(class_at(layer, at), nearest(layer, at).yz);
    }
    if REGIME != MAGNIFIED {
        return area(layer, at);
    }
    if is_reference(layer) {
        return nearest(layer, at);
    }
    let field = bilinear(layer, at).x;
    return vec3(field, is_on(field >= 0.5), 0.0);
}

// ---- distance to a mask's contour, in output pixels: marching squares over the workgroup's tile ----

const REACH = 3u;
const FAR = 4.0;
const SIDE = 16u;
const NODES = 22u; // SIDE + 2 REACH
const SQUARES = 21u;

// What sample_mask gives at every node.
var<workgroup> nodes: array<vec4<f32>, 484>;
// Where the contour crosses the sides of every square: top, right, bottom, left; negative where it does not.
var<workgroup> squares: array<vec4<f32>, 441>;
// One bit for each square of a row that the contour crosses.
var<workgroup> crossed_squares: array<atomic<u32>, 21>;

fn position(x: f32, y: f32) -> vec2<f32> {
    let output = vec2(x, y) + 0.5;
    let along = select(output, output.yx, (p.flags & TRANSPOSED) != 0u);
    return along * vec2(p.scale_x, p.scale_y) + vec2(p.offset_x, p.offset_y);
}

fn crossing(a: f32, b: f32, classes: bool) -> f32 {
    if classes {
        return select(0.5, -1.0, a == b);
    }
    let low = a - 0.5;
    let high = b - 0.5;
    if (low >= 0.0) == (high >= 0.0) {
        return -1.0;
    }
    return low / (low - high);
}

fn to_segment(a: vec2<f32>, b: vec2<f32>) -> f32 {
    let along = b - a;
    let t = clamp(-dot(a, along) / max(dot(along, along), 1e-12), 0.0, 1.0);
    return length(a + along * t);
}

fn to_square(at: vec2<f32>, sides: vec4<f32>) -> f32 {
    let crossed = sides >= vec4(0.0);
    let top = at + vec2(sides.x, 0.0);
    let right = at + vec2(1.0, sides.y);
    let bottom = at + vec2(sides.z, 1.0);
    let left = at + vec2(0.0, sides.w);
    if all(crossed) {
        return min(to_segment(top, right), to_segment(left, bottom));
    }
    var a = right;
    if crossed.x {
        a = top;
    } else if !crossed.y {
        a = bottom;
    }
    var b = bottom;
    if crossed.w {
        b = left;
    } else if !crossed.z {
        b = right;
    }
    return to_segment(a, b);
}

// The mask at the invocation's pixel, and the distance to its contour, at most FAR.
fn mask_and_distance(layer: u32, group: vec2<u32>, local: vec2<u32>, lane: u32) -> vec4<f32> {
    workgroupBarrier();
    if lane < SQUARES {
        atomicStore(&crossed_squares[lane], 0u);
    }
    for (var n = lane; n < NODES * NODES; n += SIDE * SIDE) {
        let x = f32(group.x * SIDE + n % NODES) - f32(REACH);
        let y = f32(group.y * SIDE + n / NODES) - f32(REACH);
        nodes[n] = vec4(sample_mask(layer, position(x, y)), 0.0);
    }
    workgroupBarrier();
    let classes = is_classes(layer);
    for (var n = lane; n < SQUARES * SQUARES; n += SIDE * SIDE) {
        let at = n / SQUARES * NODES + n % SQUARES;
        let a = nodes[at].x;
        let b = nodes[at + 1u].x;
        let c = nodes[at + NODES].x;
        let d = nodes[at + NODES + 1u].x;
        let sides = vec4(
            crossing(a, b, classes),
            crossing(b, d, classes),
            crossing(c, d, classes),
            crossing(a, c, classes),
        );
        squares[n] = sides;
        if any(sides >= vec4(0.0)) {
            atomicOr(&crossed_squares[n / SQUARES], 1u << (n % SQUARES));
        }
    }
    workgroupBarrier();
    var distance = FAR;
    for (var j = 0u; j < 2u * REACH; j++) {
        var row = (atomicLoad(&crossed_squares[local.y + j]) >> local.x) & 63u; // 2 REACH bits
        while row != 0u {
            let i = firstTrailingBit(row);
            row &= row - 1u;
            let at = vec2(f32(i), f32(j)) - f32(REACH);
            distance = min(distance, to_square(at, squares[(local.y + j) * SQUARES + local.x + i]));
        }
    }
    return vec4(nodes[(local.y + REACH) * NODES + local.x + REACH].xyz, distance);
}

// ---- colours ----

fn colour(index: i32) -> vec3<f32> {
    return p.colours[index].rgb;
}

// By bits, since a compiler may take every number to be finite.
fn is_finite(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}

fn stripe(at: vec2<u32>) -> bool {
    return (at.x + at.y + 32u - p.phase.x - p.phase.y) % 8u < 3u;
}

fn falling_stripe(at: vec2<u32>) -> bool {
    return (at.x + 24u - p.phase.x - (at.y + 16u - p.phase.y) % 8u) % 8u < 3u;
}

fn dash(at: vec2<u32>) -> bool {
    return (at.x + 16u - p.phase.x + 2u * (at.y + 16u - p.phase.y)) % 16u < 10u;
}

fn with_line(under: vec3<f32>, line: vec3<f32>, distance: f32, strength: f32) -> vec3<f32> {
    let edged = mix(under, colour(EDGE), 0.8 * strength * clamp(2.5 - distance, 0.0, 1.0));
    return mix(edged, line, strength * clamp(1.5 - distance, 0.0, 1.0));
}

// How much of the second contour is drawn: a reference's whole, a prediction's where the mask's border left it.
fn second_strength(mask_distance: f32, second_distance: f32) -> f32 {
    if is_reference(SECOND_MASK) {
        return 1.0;
    }
    return clamp(abs(mask_distance - second_distance) - 0.5, 0.0, 1.0);
}

// The share smoothed over the border's output pixel where the mask is magnified.
fn smoothed(layer: u32, sample: vec3<f32>, distance: f32) -> vec3<f32> {
    if REGIME == MAGNIFIED && !is_reference(layer) && !is_classes(layer) {
        let signed_distance = select(-distance, distance, sample.x >= 0.5);
        return vec3(sample.x, clamp(0.5 + signed_distance, 0.0, 1.0), sample.z);
    }
    return sample;
}

fn windowed(v: vec3<f32>) -> vec3<f32> {
    return clamp((v - p.window_lower) * p.window_slope, vec3(0.0), vec3(1.0));
}

// The first mask's colours over what is under it.
fn filled(under: vec3<f32>, opacity: f32, share: f32, tint: vec3<f32>) -> vec3<f32> {
    if is_classes(MASK) {
        return under * (1.0 - opacity * share) + opacity * tint;
    }
    return mix(under, colour(POSITIVE), opacity * share);
}

fn picture_at(at: vec2<f32>, pixel: vec2<u32>, mask: vec4<f32>, second: vec4<f32>) -> vec3<f32> {
    var under = vec3(0.0);
    if MODE != MASK_MODE {
        let v = sample_image(at);
        if !(is_finite(v.x) && is_finite(v.y) && is_finite(v.z)) {
            return colour(NOT_FINITE);
        }
        if MODE == NOISE_MODE {
            let t = clamp(v.x * p.gain, -1.0, 1.0);
            return mix(colour(ZERO), select(colour(HIGH), colour(LOW), t < 0.0), abs(t));
        }
        under = windowed(v);
    }
    if MODE == IMAGE_MODE {
        return under;
    }
    let mask_distance = mask.w;
    let second_distance = second.w;
    let a = smoothed(MASK, mask.xyz, mask_distance);
    let b = smoothed(SECOND_MASK, second.xyz, second_distance);
    if !(is_finite(a.x) && is_finite(b.x)) {
        return colour(NOT_FINITE);
    }
    let falling = falling_stripe(pixel);
    var tint = vec3(0.0);
    if is_classes(MASK) && MODE != DIFFERENCE_MODE {
        if REGIME == MAGNIFIED {
            tint = tint_of(a.x);
        } else {
            tint = area(TINT, at);
        }
    }
    if MODE == MASK_MODE {
        let shown = filled(colour(NEGATIVE), 1.0, a.y, tint);
        return mix(shown, select(colour(NEGATIVE), colour(IGNORED), falling), a.z);
    }
    if MODE == OVERLAY_MODE {
        var shown = filled(under, p.fill, a.y, tint);
        shown = mix(shown, select(shown, colour(IGNORED), falling), 0.6 * a.z);
        if (p.flags & HAS_SECOND) != 0u {
            let line = select(colour(EDGE), colour(SECOND), dash(pixel));
            let strength = second_strength(mask_distance, second_distance);
            shown = with_line(shown, line, second_distance, strength);
        }
        if (p.flags & CONTOUR) != 0u {
            var line = colour(POSITIVE);
            if is_classes(MASK) {
                // Beside a class its own colour, outside of all the dark edge.
                line = select(colour(EDGE), tint_of(a.x), a.x > 0.5);
            }
            shown = with_line(shown, line, mask_distance, 1.0);
        }
        return shown;
    }
    let ignored = max(a.z, b.z);
    var shown = mix(under, colour(ZERO), 0.45);
    var shares = vec3(min(a.y, b.y), max(a.y - b.y, 0.0), max(b.y - a.y, 0.0));
    var fresh = colour(APPEARED);
    if is_classes(MASK) {
        // Another class, in its colour; or none any more.
        let differ = is_on(a.x != b.x);
        let some = is_on(a.x > 0.5);
        shares = vec3((1.0 - differ) * some, differ * some, differ * (1.0 - some));
        fresh = select(fresh, tint_of(a.x), a.x > 0.5);
    }
    shown = mix(shown, colour(AGREED), 0.2 * shares.x);
    let appeared = shares.y * (1.0 - ignored);
    let vanished = shares.z * (1.0 - ignored);
    let outline = clamp(1.75 - min(mask_distance, second_distance), 0.0, 1.0);
    let striped = select(0.2, 0.95, stripe(pixel));
    shown = mix(shown, fresh, 0.8 * appeared);
    shown = mix(shown, colour(VANISHED), vanished * (striped + (0.95 - striped) * outline));
    return mix(shown, select(shown, colour(IGNORED), falling), 0.6 * ignored);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(global_invocation_id) global: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var mask = vec4(0.0, 0.0, 0.0, FAR);
    var second = vec4(0.0, 0.0, 0.0, FAR);
    let at = position(f32(global.x), f32(global.y));
    // The same for every invocation: the barriers are met by all of them.
    if MODE >= OVERLAY_MODE || (MODE == MASK_MODE && REGIME == MAGNIFIED) {
        mask = mask_and_distance(MASK, group.xy, local.xy, lane);
    } else if MODE == MASK_MODE {
        mask = vec4(sample_mask(MASK, at), FAR);
    }
    if MODE >= OVERLAY_MODE && (p.flags & HAS_SECOND) != 0u {
        second = mask_and_distance(SECOND_MASK, group.xy, local.xy, lane);
    }
    if global.x >= p.size.x || global.y >= p.size.y {
        return;
    }
    var shown = colour(BACKGROUND);
    if all(at >= vec2(0.0)) && all(at < vec2<f32>(p.image)) {
        shown = picture_at(at, global.xy, mask, second);
        if (p.flags & GRID) != 0u {
            let before = position(f32(global.x) - 1.0, f32(global.y) - 1.0);
            if any(floor(at) != floor(before)) {
                shown = mix(shown, vec3(0.5), 0.35);
            }
        }
    }
    textureStore(picture, vec2<i32>(global.xy), vec4(shown, 1.0));
}
