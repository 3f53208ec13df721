// Distance to a mask's contour, in output pixels: marching squares over the workgroup's tile.

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
