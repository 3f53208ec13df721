//! Values at the edges of what operators are defined for: what is no number stays so, as in onnxruntime; gradients of norms at 0 are
//! finite; a softmax is taken off only where it is over the classes.

use crate::fixture::{dense, host};
use crate::onnx_file::Model;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use epsiloscope::model::Logits;
use epsiloscope::model::onnx::{FinalActivation, Graph};

fn graph(model: &Model) -> Graph {
    Graph::from_bytes("a.onnx", &model.bytes(), &Device::flex()).unwrap()
}

fn run(model: &Model, values: &[f32]) -> Vec<f32> {
    let x = Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 1, values.len()]), &Device::flex());
    match graph(model).forward(x, 0).unwrap() {
        Logits::Dense(y) => host(y),
        Logits::Class(y) => epsiloscope::tensor::to_host(y).unwrap(),
    }
}

#[test]
fn what_is_no_number_stays_so_where_onnxruntime_keeps_it() {
    const X: [f32; 4] = [f32::NAN, -2.0, 0.25, 3.0];
    let model = || {
        let free = Model::new(17).input("x", &[1, 1, 1, 0]);
        free.weight("low", &[], &[-1.0]).weight("high", &[], &[1.0]).weight("w", &[1, 1, 1, 1], &[1.0])
    };
    let cases = [
        ("Relu", model().node("Relu", &["x"], &["y"]), [0.0, 0.25, 3.0]),
        ("Max", model().node("Max", &["x", "low"], &["y"]), [-1.0, 0.25, 3.0]),
        ("Max, the other way", model().node("Max", &["low", "x"], &["y"]), [-1.0, 0.25, 3.0]),
        ("Min", model().node("Min", &["x", "high"], &["y"]), [-2.0, 0.25, 1.0]),
        ("Min, the other way", model().node("Min", &["high", "x"], &["y"]), [-2.0, 0.25, 1.0]),
        ("Clip", model().node("Clip", &["x", "low", "high"], &["y"]), [-1.0, 0.25, 1.0]),
        ("Clip below", model().node("Clip", &["x", "low"], &["y"]), [-1.0, 0.25, 3.0]),
        ("Clip above", model().node("Clip", &["x", "", "high"], &["y"]), [-2.0, 0.25, 1.0]),
        // The upper bound wins.
        ("Clip crossed", model().node("Clip", &["x", "high", "low"], &["y"]), [-1.0, -1.0, -1.0]),
        ("LeakyRelu", model().node("LeakyRelu", &["x"], &["y"]), [-0.02, 0.25, 3.0]),
        // The kernel that does both.
        ("Conv, Relu", model().node("Conv", &["x", "w"], &["z"]).node("Relu", &["z"], &["y"]), [0.0, 0.25, 3.0]),
        (
            "Conv, Clip",
            model().node("Conv", &["x", "w"], &["z"]).node("Clip", &["z", "low", "high"], &["y"]),
            [-1.0, 0.25, 1.0],
        ),
    ];
    for (name, model, expected) in cases {
        let got = run(&model.output("y"), &X);
        assert!(got[0].is_nan() && got[1..] == expected, "{name}: {got:?}");
    }
    for op in ["ReduceMax", "ReduceMin"] {
        let reduced = Model::new(17).input("x", &[1, 1, 1, 0]).node_with(op, &["x"], &["y"], &[("axes", &[3])]);
        assert!(run(&reduced.output("y"), &[1.0, f32::NAN, 2.0]).iter().all(|v| v.is_nan()), "{op}");
    }
}

#[test]
fn gradients_of_norms_are_finite_at_zero() {
    let one = |op: &str, settings: &[(&str, &[i64])]| {
        Model::new(17).input("x", &[1, 2, 2, 2]).node_with(op, &["x"], &["y"], settings).output("y")
    };
    let number = |op: &str, settings: &[(&str, i64)]| {
        Model::new(17).input("x", &[1, 2, 2, 2]).node_number(op, &["x"], &["y"], settings).output("y")
    };
    let cases = [
        one("ReduceL2", &[("axes", &[1])]),
        one("ReduceL1", &[("axes", &[1])]),
        number("LpNormalization", &[("axis", 1)]),
        number("LpNormalization", &[("axis", 1), ("p", 1)]),
        one("LpPool", &[("kernel_shape", &[2, 2])]),
        number("GlobalLpPool", &[("p", 2)]),
        one("MeanVarianceNormalization", &[("axes", &[2, 3])]),
    ];
    let device = Device::flex();
    for (i, model) in cases.iter().enumerate() {
        // One column of zeros beside one of numbers.
        let values = vec![0.0, 3.0, 0.0, 3.0, 0.0, 4.0, 0.0, 4.0];
        for values in [vec![0.0; 8], values] {
            let x = Tensor::<4>::from_data(TensorData::new(values.clone(), [1, 2, 2, 2]), &device);
            let x = x.autodiff().require_grad();
            let sum = match graph(model).forward(x.clone(), 0).unwrap() {
                Logits::Dense(y) => y.sum(),
                Logits::Class(y) => y.sum(),
            };
            let gradient = host(x.grad(&sum.backward()).unwrap());
            assert!(gradient.iter().all(|g| g.is_finite()), "{i}: {gradient:?}");
            if i == 0 && values[1] == 3.0 {
                let off = |at: usize, expected: f32| (gradient[at] - expected).abs() < 1e-6;
                assert!(off(0, 0.0) && off(1, 0.6) && off(5, 0.8), "{gradient:?}");
            }
        }
    }
}

/// `x`, `[1, 3, 4, 5]`, after `nodes`.
fn ended(opset: i64, nodes: impl Fn(Model) -> Model) -> Graph {
    graph(&nodes(Model::new(opset).input("x", &[1, 3, 4, 5])).output("y"))
}

#[test]
fn a_softmax_is_taken_off_where_it_is_over_the_classes_and_only_there() {
    let axis = |model: Model, from: &str, axis: i64| model.node_number("Softmax", &[from], &["y"], &[("axis", axis)]);
    let turned = |model: Model, dim: i64, back: &[i64]| {
        let model = model.node_with("Transpose", &["x"], &["t"], &[("perm", &[0, 2, 3, 1])]);
        let model = model.node_number("Softmax", &["t"], &["s"], &[("axis", dim)]);
        model.node_with("Transpose", &["s"], &["y"], &[("perm", back)])
    };
    let over = [
        ended(17, |m| axis(m, "x", 1)),
        ended(17, |m| axis(m, "x", -3)),
        // Over the last dimension, which becomes dimension 1: how other frameworks are exported.
        ended(17, |m| turned(m, 3, &[0, 3, 1, 2])),
        ended(11, |m| turned(m, 3, &[0, 3, 1, 2])),
        // Read by another node as well.
        ended(17, |m| axis(m, "x", 1).node_number("ArgMax", &["y"], &["a"], &[("axis", 1)])),
        ended(17, |m| {
            let m = m.node_number("Softmax", &["x"], &["s"], &[("axis", 1)]).node("Log", &["s"], &["l"]);
            m.node_number("Cast", &["s"], &["h"], &[("to", 10)])
                .node("Add", &["l", "s"], &["o"])
                .output("o2")
                .node("Identity", &["l"], &["o2"])
                .node_number("Cast", &["h"], &["y"], &[("to", 1)])
        }),
    ];
    for (i, graph) in over.iter().enumerate() {
        let output = graph.outputs().position(|port| port.name == "y").unwrap();
        assert_eq!(graph.final_activation(output), Some(FinalActivation::Softmax), "{i}");
        let x = Tensor::<4>::random([1, 3, 4, 5], Distribution::Uniform(-1.0, 1.0), &Device::flex());
        let z = dense(graph.logits(x.clone(), output).unwrap());
        assert_eq!(z.dims(), [1, 3, 4, 5], "{i}");
        let p = host(dense(graph.forward(x, output).unwrap()));
        let off = host(softmax(z, 1)).iter().zip(p).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 1e-6, "{i}: {off}");
    }
    let not_over = [
        ended(17, |m| axis(m, "x", 2)),
        ended(17, |m| axis(m, "x", -1)),
        // Before version 13, everything from dimension 1 on is one sum.
        ended(11, |m| axis(m, "x", 1)),
        // Over columns, which stay columns.
        ended(17, |m| turned(m, 2, &[0, 3, 1, 2])),
        ended(17, |m| turned(m, 3, &[0, 1, 3, 2])),
        // Half of the classes each: 2 × 3 of [1, 3, 4, 5] by another shape.
        ended(17, |m| {
            let m = m.ints("a", &[1, 6, 2, 5]).ints("b", &[1, 3, 4, 5]).node("Reshape", &["x", "a"], &["r"]);
            let m = m.node_number("Softmax", &["r"], &["s"], &[("axis", 1)]);
            m.node("Reshape", &["s", "b"], &["y"])
        }),
        // Of six scores each, three by three.
        ended(17, |m| {
            let m = m.ints("a", &[1, 10, 6]).ints("b", &[1, 4, 5, 3]).node("Reshape", &["x", "a"], &["r"]);
            let m = m.node_number("Softmax", &["r"], &["s"], &[("axis", 2)]).node("Reshape", &["s", "b"], &["q"]);
            m.node_with("Transpose", &["q"], &["y"], &[("perm", &[0, 3, 1, 2])])
        }),
        // Whole numbers of probabilities are worth no logits.
        ended(17, |m| {
            let m = m.node_number("Softmax", &["x"], &["s"], &[("axis", 1)]);
            let m = m.node_number("Cast", &["s"], &["i"], &[("to", 7)]);
            m.node_number("Cast", &["i"], &["y"], &[("to", 1)])
        }),
    ];
    for (i, graph) in not_over.iter().enumerate() {
        assert_eq!(graph.final_activation(0), None, "{i}");
    }
}

#[test]
fn what_was_pooled_goes_back_to_its_place_and_its_gradient_with_it() {
    let model = Model::new(17)
        .input("x", &[1, 1, 2, 4])
        .node_with("MaxPool", &["x"], &["p", "i"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])])
        .node_with("MaxUnpool", &["p", "i"], &["y"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])])
        .output("y");
    let device = Device::flex();
    let values = vec![1.0, 5.0, 2.0, 3.0, 4.0, 0.0, 7.0, 6.0];
    let x = Tensor::<4>::from_data(TensorData::new(values, [1, 1, 2, 4]), &device).autodiff().require_grad();
    let y = dense(graph(&model).forward(x.clone(), 0).unwrap());
    assert_eq!(host(y.clone()), [0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 7.0, 0.0]);
    let gradient = host(x.grad(&(y.clone() * y).sum().backward()).unwrap());
    assert_eq!(gradient, [0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 14.0, 0.0]);
}

#[test]
fn settings_that_are_not_computed_are_refused() {
    let refused = |model: Model| {
        let x = Tensor::<4>::zeros([1, 1, 4, 4], &Device::flex());
        graph(&model.output("y")).forward(x, 0).map(|_| ()).expect_err("it runs").to_string()
    };
    let free = || Model::new(17).input("x", &[1, 1, 4, 4]).weight("s", &[4], &[1.0, 1.0, 2.0, 2.0]);
    let resize = |inputs: &[&str], settings: &[(&str, &str)]| free().node_text("Resize", inputs, &["y"], settings);
    let coordinates = "coordinate_transformation_mode";
    assert!(refused(resize(&["x", "", "s"], &[(coordinates, "corners")])).contains("corners"));
    assert!(refused(resize(&["x", "", "s"], &[("nearest_mode", "up")])).contains("up"));
    assert!(refused(resize(&["x", "", "s"], &[(coordinates, "tf_crop_and_resize")])).contains("roi"));
    let up = free().weight("w", &[1, 1, 2, 2], &[1.0; 4]);
    assert!(refused(up.node_text("ConvTranspose", &["x", "w"], &["y"], &[("auto_pad", "SAME")])).contains("SAME"));
    assert!(refused(free().node_number("LpNormalization", &["x"], &["y"], &[("p", 3)])).contains("p is 3"));
    let training = free().weight("r", &[], &[0.5]).ints("t", &[1]).node("Dropout", &["x", "r", "t"], &["y"]);
    assert!(refused(training).contains("training mode"));
}
