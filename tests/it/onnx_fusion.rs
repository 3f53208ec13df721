//! Nodes that are computed in one pass give the values and the gradients that they give one by one; sizes and places are kept.

use crate::onnx_file::Model;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use epsiloscope::model::Logits;
use epsiloscope::model::onnx::Graph;

/// A convolution with what may stand before and behind it. Where `apart`, what lies between two nodes is an output as well,
/// so that nothing can be put together.
fn graph(before: &str, sum: &str, after: &str, apart: bool) -> Model {
    let values = |n: usize| (0..n).map(|i| (0.3 + i as f32 * 0.77).sin() * 0.5).collect::<Vec<_>>();
    let channels = if before == "none" { 3 } else { 6 };
    let mut model = Model::new(17)
        .input("x", &[0, 3, 0, 0])
        .weight("w", &[3, channels, 3, 3], &values(27 * channels as usize))
        .weight("b", &[3], &values(3))
        .weight("low", &[], &[-0.2])
        .weight("high", &[], &[0.6])
        .weight("constant", &[1, 3, 8, 9], &values(3 * 72))
        .node("Tanh", &["x"], &["t"]);
    model = match before {
        "none" => model.node("Identity", &["x"], &["c"]),
        "x, t" => model.node_with("Concat", &["x", "t"], &["c"], &[("axis", &[1])]),
        "t, x" => model.node_with("Concat", &["t", "x"], &["c"], &[("axis", &[1])]),
        "x, constant" => model.node_with("Concat", &["x", "constant"], &["c"], &[("axis", &[1])]),
        _ => model.node_with("Concat", &["constant", "x"], &["c"], &[("axis", &[1])]),
    };
    model = model.node_with("Conv", &["c", "w", "b"], &["z"], &[("pads", &[1, 1, 1, 1])]);
    model = match sum {
        "none" => model.node("Identity", &["z"], &["s"]),
        "x" => model.node("Add", &["z", "x"], &["s"]),
        "t" => model.node("Add", &["t", "z"], &["s"]),
        _ => model.node("GlobalAveragePool", &["x"], &["m"]).node("Add", &["z", "m"], &["s"]),
    };
    model = match after {
        "none" => model.node("Identity", &["s"], &["y"]),
        "Relu" => model.node("Relu", &["s"], &["y"]),
        _ => model.node("Clip", &["s", "low", "high"], &["y"]),
    };
    let model = model.output("y");
    if apart { model.output("c").output("z").output("s") } else { model }
}

/// The output, and the gradient of a weighted sum of it.
fn both(model: &Model, x: &Tensor<4>, weights: &Tensor<4>) -> [Vec<f32>; 2] {
    let graph = Graph::from_bytes("fused", &model.bytes(), &Device::flex()).unwrap();
    let tracked = x.clone().autodiff().require_grad();
    let Logits::Dense(y) = graph.forward(tracked.clone(), 0).unwrap() else { panic!("no map") };
    let sum = (y.clone() * Tensor::from_inner(weights.clone())).sum();
    let gradient = tracked.grad(&sum.backward()).unwrap();
    [y.inner().into_data().try_to_vec().unwrap(), gradient.into_data().try_to_vec().unwrap()]
}

#[test]
fn values_and_gradients_are_those_of_the_nodes_one_by_one() {
    let device = Device::flex();
    let x = Tensor::<4>::random([1, 3, 8, 9], Distribution::Uniform(-1.0, 1.0), &device);
    let weights = Tensor::<4>::random([1, 3, 8, 9], Distribution::Uniform(-1.0, 1.0), &device);
    for before in ["none", "x, t", "t, x", "x, constant", "constant, x"] {
        for sum in ["none", "x", "t", "mean"] {
            for after in ["none", "Relu", "Clip"] {
                let [fused, apart] = [false, true].map(|apart| both(&graph(before, sum, after, apart), &x, &weights));
                for (what, (fused, apart)) in ["value", "gradient"].iter().zip(fused.iter().zip(&apart)) {
                    assert!(apart.iter().any(|v| v.abs() > 1e-3));
                    let off = fused.iter().zip(apart).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(off <= 2e-5, "{what} of concat {before}, sum {sum}, {after}: off by {off}");
                }
            }
        }
    }
}

/// Numbers below `n`, the same in each run.
fn below(state: &mut u64, n: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % n
}

/// What a chain of nodes may have for a link.
const LINKS: [&str; 13] = [
    "Conv",
    "BatchNormalization",
    "Relu",
    "Relu",
    "Clip",
    "narrow Clip",
    "lower Clip",
    "Add x",
    "Add t",
    "Add mean",
    "Add first",
    "Add itself",
    "Concat",
];

/// A convolution or normalisation with such links behind it. Where `apart`, all that lies between two nodes is an output as well.
fn chain(links: &[&str], apart: bool) -> Model {
    let values = |n: usize, phase: f32| (0..n).map(|i| (phase + i as f32 * 0.77).sin() * 0.4).collect::<Vec<_>>();
    let mut model = Model::new(17)
        .input("x", &[0, 3, 0, 0])
        .weight("w", &[3, 3, 3, 3], &values(81, 0.3))
        .weight("w6", &[3, 6, 3, 3], &values(162, 0.9))
        .weight("b", &[3], &values(3, 0.2))
        .weight("scale", &[3], &[0.7, -0.9, 1.2])
        .weight("shift", &[3], &[0.2, 0.1, -0.3])
        .weight("variance", &[3], &[0.5, 1.1, 0.8])
        .weight("-1", &[], &[-1.0])
        .weight("1", &[], &[1.0])
        .weight("-.2", &[], &[-0.2])
        .weight(".3", &[], &[0.3])
        .node("Tanh", &["x"], &["t"])
        .node("GlobalAveragePool", &["x"], &["mean"]);
    let mut names = vec!["x".to_owned()];
    let padded: [(&str, &[i64]); 1] = [("pads", &[1, 1, 1, 1])];
    let mut joined = Vec::new();
    for (i, link) in links.iter().enumerate() {
        let (from, to) = (names[i].clone(), format!("y{i}"));
        let (from, put) = (from.as_str(), [to.as_str()]);
        // Both orders of a sum.
        let sum = |model: Model, other: &str| {
            let operands = if i.is_multiple_of(2) { [from, other] } else { [other, from] };
            model.node("Add", &operands, &put)
        };
        model = match *link {
            "Conv" => model.node_with("Conv", &[from, "w", "b"], &put, &padded),
            "BatchNormalization" => model.node("BatchNormalization", &[from, "scale", "b", "shift", "variance"], &put),
            "Relu" => model.node("Relu", &[from], &put),
            "Clip" => model.node("Clip", &[from, "-1", "1"], &put),
            "narrow Clip" => model.node("Clip", &[from, "-.2", ".3"], &put),
            "lower Clip" => model.node("Clip", &[from, "-.2", ""], &put),
            "Add x" => sum(model, "x"),
            "Add t" => sum(model, "t"),
            "Add mean" => sum(model, "mean"),
            "Add first" => sum(model, &names[1.min(i)]),
            "Add itself" => sum(model, from),
            _ => {
                joined.push(format!("c{i}"));
                let joined = joined[joined.len() - 1].as_str();
                model.node_number("Concat", &["t", from], &[joined], &[("axis", 1)]).node_with(
                    "Conv",
                    &[joined, "w6", "b"],
                    &put,
                    &padded,
                )
            }
        };
        names.push(to);
    }
    let inner = if apart { names[1..links.len()].iter().chain(&joined).collect() } else { Vec::new() };
    let model = model.output(&names[links.len()]);
    inner.into_iter().fold(model, |model, name| model.output(name))
}

#[test]
fn whatever_follows_a_convolution_or_normalisation_stays_in_its_order() {
    let device = Device::flex();
    let numbers =
        |state: &mut u64| -> Vec<f32> { (0..216).map(|_| below(state, 2001) as f32 / 1000.0 - 1.0).collect() };
    let mut state = 7;
    let tensor = |values: Vec<f32>| Tensor::<4>::from_data(TensorData::new(values, [1, 3, 8, 9]), &device);
    let (x, weights) = (tensor(numbers(&mut state)), tensor(numbers(&mut state)));
    let told: [&[&str]; 12] = [
        &["Conv", "Relu", "Add x"],
        &["Conv", "Add t", "Add x"],
        &["Conv", "Add t", "Relu", "Add x"],
        &["Conv", "Add t", "Clip", "Add x", "Relu"],
        &["Conv", "Clip", "Relu"],
        &["Conv", "Relu", "narrow Clip"],
        &["Conv", "Relu", "Clip", "Add mean"],
        &["BatchNormalization", "narrow Clip", "Relu"],
        &["BatchNormalization", "Relu", "Add x"],
        &["Concat", "Relu", "Add x"],
        &["Concat", "Add t", "Add x", "Relu", "Clip"],
        &["Conv", "Relu", "Concat", "Clip", "Relu", "Add first"],
    ];
    let random = (0..300).map(|_| {
        let first = ["Conv", "Conv", "Concat", "BatchNormalization"][below(&mut state, 4)];
        let rest = (0..2 + below(&mut state, 5)).map(|_| LINKS[below(&mut state, LINKS.len())]).collect::<Vec<_>>();
        [vec![first], rest].concat()
    });
    for links in told.iter().map(|links| links.to_vec()).chain(random.collect::<Vec<_>>()) {
        let [fused, apart] = [false, true].map(|apart| both(&chain(&links, apart), &x, &weights));
        for (what, (fused, apart)) in ["value", "gradient"].iter().zip(fused.iter().zip(&apart)) {
            let largest = apart.iter().fold(1f32, |most, v| most.max(v.abs()));
            let off = fused.iter().zip(apart).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 2e-5 * largest, "{what} of {links:?}: off by {off} of {largest}");
        }
    }
}

#[test]
fn resized_lengths_and_nearest_pixels_are_those_of_onnxruntime() {
    // Computed with onnxruntime 1.31: scales of 32 bits, of which 0.7 × 10 is 7.
    let cases: [(f32, &[f32]); 5] = [
        (0.7, &[0.0, 2.0, 3.0, 4.0, 6.0, 7.0, 9.0]),
        (0.9, &[0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0, 9.0]),
        (1.3, &[0.0, 1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.0, 9.0]),
        (0.6, &[0.0, 2.0, 4.0, 5.0, 7.0, 9.0]),
        (
            2.3,
            &[
                0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 4.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 8.0, 8.0,
                8.0, 9.0, 9.0,
            ],
        ),
    ];
    let x = Tensor::<4>::from_floats([[[[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]]]], &Device::flex());
    for (scale, expected) in cases {
        let model = Model::new(17)
            .input("x", &[0, 1, 0, 0])
            .weight("scales", &[4], &[1.0, 1.0, 1.0, scale])
            .node("Resize", &["x", "", "scales"], &["y"])
            .output("y");
        let graph = Graph::from_bytes("resize", &model.bytes(), &Device::flex()).unwrap();
        let Logits::Dense(y) = graph.forward(x.clone(), 0).unwrap() else { panic!("no map") };
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), expected, "{scale}");
    }
}

#[test]
fn what_a_max_pool_took_goes_back_to_where_it_was() {
    let halves: [(&str, &[i64]); 2] = [("kernel_shape", &[2, 2]), ("strides", &[2, 2])];
    let model = Model::new(17)
        .input("x", &[1, 2, 4, 7])
        .ints("shape", &[1, 2, 4, 7])
        .node_with("MaxPool", &["x"], &["p", "i"], &halves)
        .node_with("MaxUnpool", &["p", "i", "shape"], &["y"], &halves)
        .output("y");
    let values: Vec<f32> = (0..56).map(|i| (i * 19 % 56 + 1) as f32).collect();
    let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 2, 4, 7]), &Device::flex());
    let graph = Graph::from_bytes("unpool", &model.bytes(), &Device::flex()).unwrap();
    let Logits::Dense(y) = graph.forward(x, 0).unwrap() else { panic!("no map") };
    let y = y.into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(y.iter().filter(|&&v| v != 0.0).count(), 12);
    assert!(y.iter().zip(&values).all(|(y, x)| *y == 0.0 || y == x), "{y:?}");
}

/// The logits of a whole image by a model in a file.
fn logits(model: &Model, x: &Tensor<4>) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    let model = epsiloscope::model::open(&path, &Device::flex()).unwrap();
    let Logits::Dense(z) = model.logits(x.clone()).unwrap() else { panic!("no map") };
    assert_eq!(z.dims()[2..], x.dims()[2..]);
    z.into_data().try_to_vec().unwrap()
}

#[test]
fn convolutions_without_padding_leave_every_pixel_at_its_place() {
    // Two convolutions of 5×5 that hand on the pixel in their middle: the output is 8 rows and columns smaller.
    let mut middle = [0.0; 25];
    middle[12] = 1.0;
    for sides in [[0, 0], [48, 40]] {
        let model = Model::new(17)
            .input("x", &[0, 1, sides[0], sides[1]])
            .weight("w", &[1, 1, 5, 5], &middle)
            .node("Conv", &["x", "w"], &["a"])
            .node("Conv", &["a", "w"], &["y"])
            .output("y");
        for [height, width] in [[48, 40], [97, 61]] {
            let x = Tensor::<4>::random([1, 1, height, width], Distribution::Uniform(0.0, 1.0), &Device::flex());
            let expected = x.clone().into_data().try_to_vec::<f32>().unwrap();
            assert_eq!(logits(&model, &x), expected, "{sides:?}, {height}×{width}");
        }
    }
}
