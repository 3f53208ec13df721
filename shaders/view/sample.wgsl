// One output pixel's worth of a plane.

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
