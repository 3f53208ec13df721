// Colours, and the picture that they make.

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
