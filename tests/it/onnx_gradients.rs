//! Graphs through which no gradient comes are told as such, by node and operator, and what is told is what autodiff finds.

use crate::command_line::{complaint, program};
use crate::fixture::{dense, host};
use crate::onnx_file::Model;
use burn::tensor::{Device, Distribution, Tensor};
use epsiloscope::attack::{Attack, AttackError, Objective};
use epsiloscope::data::write_npy;
use epsiloscope::model::onnx::{GradientFlow, Graph};
use epsiloscope::model::{self, ModelError};
use std::path::{Path, PathBuf};

const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A graph from `x`, `[1, 2, 4, 4]`, to be given nodes.
fn from_x() -> Model {
    Model::new(17).input("x", &[1, 2, 4, 4])
}

/// `model` without gradient: what `end` makes of the input, as floats in `y`.
fn cut_by(model: Model, end: &str) -> Model {
    model.node_number("Cast", &[end], &["y"], &[("to", FLOAT)]).output("y")
}

fn flow(model: &Model) -> GradientFlow {
    Graph::from_bytes("a.onnx", &model.bytes(), &Device::flex()).unwrap().gradient_flow(0)
}

/// Whether any entry of the gradient that autodiff finds is not zero.
fn has_gradient(model: &Model) -> bool {
    let device = Device::flex();
    let graph = Graph::from_bytes("a.onnx", &model.bytes(), &device).unwrap();
    device.seed(7);
    let x = Tensor::<4>::random([1, 2, 4, 4], Distribution::Uniform(-3.0, 3.0), &device).autodiff().require_grad();
    let y = dense(graph.forward(x.clone(), 0).unwrap());
    // Not the plain sum, whose gradient is 0 where values are exchanged.
    let weight = Tensor::<4>::random(y.dims(), Distribution::Uniform(1.0, 2.0), &device);
    // A zero of the input stands beside it, for what is cut off from it cannot be differentiated at all.
    let loss = (y * weight).sum() + (x.clone() * 0.0).sum();
    x.grad(&loss.backward()).is_some_and(|gradient| host(gradient).iter().any(|&g| g != 0.0))
}

/// Graphs whose every way is cut, and the words that tell where.
fn cut() -> Vec<(&'static str, Model)> {
    let one = |op: &str| from_x().node(op, &["x"], &["y"]).output("y");
    let compared = |op: &str| cut_by(from_x().weight("c", &[1], &[0.5]).node(op, &["x", "c"], &["m"]), "m");
    vec![
        ("Cast to int64 (node the Cast)", cut_by(from_x().node_number("Cast", &["x"], &["i"], &[("to", INT64)]), "i")),
        ("Round (node the Round)", one("Round")),
        ("Floor (node the Floor)", one("Floor")),
        ("Ceil (node the Ceil)", one("Ceil")),
        ("Sign (node the Sign)", one("Sign")),
        ("Hardmax (node the Hardmax)", one("Hardmax")),
        ("ArgMax (node the ArgMax)", cut_by(from_x().node_number("ArgMax", &["x"], &["i"], &[("axis", 1)]), "i")),
        ("Greater (node the Greater)", compared("Greater")),
        ("LessOrEqual (node the LessOrEqual)", compared("LessOrEqual")),
        // What is chosen by the input is constant.
        (
            "Less (node the Less)",
            from_x()
                .weight("c", &[1], &[0.5])
                .weight("d", &[1, 2, 1, 1], &[1.0, 2.0])
                .node("Less", &["x", "c"], &["m"])
                .node("Where", &["m", "c", "d"], &["y"])
                .output("y"),
        ),
        // The second of two cuts on one way is behind the first.
        (
            "Floor (node the Floor)",
            from_x()
                .node("Floor", &["x"], &["a"])
                .node("Relu", &["a"], &["b"])
                .node("Round", &["b"], &["y"])
                .output("y"),
        ),
        (
            "ScatterElements (node the ScatterElements)",
            from_x()
                .node_number("Cast", &["i"], &["j"], &[("to", INT64)])
                .weight("i", &[1, 2, 4, 4], &[0.0; 32])
                .node_text("ScatterElements", &["x", "j", "x"], &["y"], &[("reduction", "max")])
                .output("y"),
        ),
        // Only the shape of the input matters.
        ("", from_x().node("Shape", &["x"], &["s"]).node("ConstantOfShape", &["s"], &["y"]).output("y")),
    ]
}

/// Graphs with a gradient, and the words that tell where some of it ends.
fn uncut() -> Vec<(&'static str, Model)> {
    vec![
        // Sizes from shapes, whole numbers all, cut nothing.
        (
            "",
            from_x()
                .node("Shape", &["x"], &["s"])
                .node_number("Cast", &["s"], &["f"], &[("to", FLOAT)])
                .node("Floor", &["f"], &["g"])
                .node_number("Cast", &["g"], &["i"], &[("to", INT64)])
                .node("Reshape", &["x", "i"], &["y"])
                .output("y"),
        ),
        // A piecewise function has the gradient of its pieces.
        (
            "",
            from_x()
                .weight("c", &[1], &[0.0])
                .node("Greater", &["x", "c"], &["m"])
                .node("Where", &["m", "x", "c"], &["y"])
                .output("y"),
        ),
        ("", from_x().node("Clip", &["x"], &["y"]).output("y")),
        ("", from_x().node_number("Cast", &["x"], &["y"], &[("to", 10)]).output("y")),
        ("Round (node the Round)", from_x().node("Round", &["x"], &["r"]).node("Add", &["x", "r"], &["y"]).output("y")),
        (
            "Greater (node the Greater)",
            from_x()
                .weight("c", &[1], &[0.0])
                .node("Greater", &["x", "c"], &["m"])
                .node_number("Cast", &["m"], &["f"], &[("to", FLOAT)])
                .node("Mul", &["x", "f"], &["y"])
                .output("y"),
        ),
        // The upper bound is computed from the input, and read as a setting.
        (
            "Clip (node the Clip)",
            from_x()
                .node_number("ReduceMean", &["x"], &["h"], &[("keepdims", 0)])
                .node("Clip", &["x", "", "h"], &["y"])
                .output("y"),
        ),
    ]
}

#[test]
fn graphs_tell_where_gradients_end_and_autodiff_agrees() {
    for (words, model) in cut() {
        let flow = flow(&model);
        assert_eq!((flow.reaches, flow.words().as_str()), (false, words), "{flow:?}");
        assert_eq!(flow.depends, !words.is_empty(), "{flow:?}");
        assert!(!has_gradient(&model), "{words}");
    }
    for (words, model) in uncut() {
        let flow = flow(&model);
        assert_eq!((flow.reaches, flow.words().as_str()), (true, words), "{flow:?}");
        assert!(has_gradient(&model), "{words}");
    }
}

#[test]
fn of_several_outputs_one_with_a_gradient_is_taken() {
    let model = from_x()
        .node_number("ArgMax", &["x"], &["i"], &[("axis", 1)])
        .node_number("Cast", &["i"], &["classes"], &[("to", FLOAT)])
        .node("Softmax", &["x"], &["scores"])
        .output("classes")
        .output("scores");
    let graph = Graph::from_bytes("a.onnx", &model.bytes(), &Device::flex()).unwrap();
    assert_eq!(graph.preferred_output(), 1);
    assert_eq!([0, 1].map(|output| graph.gradient_flow(output).reaches), [false, true]);
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), &model);
    let opened = model::open(&path, &Device::flex()).unwrap();
    assert_eq!(opened.lacks_gradient(), None);
    assert!(opened.facts().guessed.iter().any(|line| line.contains("the output scores")), "{:?}", opened.facts());
    // The card may name the other one all the same.
    let mut card = opened.card().clone();
    card.output.name = Some("classes".to_owned());
    let other = opened.with_card(card).unwrap();
    assert!(other.lacks_gradient().is_some_and(|why| why.contains("ArgMax")));
    assert!(other.facts().notes.iter().any(|note| note.contains("ArgMax")));
    assert_eq!(other.with_card(opened.card().clone()).unwrap().facts().notes, opened.facts().notes);
}

fn written(folder: &Path, model: &Model) -> PathBuf {
    let path = folder.join("a.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    path
}

/// A classifier of grey images that rounds its scores.
fn rounded(folder: &Path) -> PathBuf {
    let model = Model::new(17)
        .input("x", &[1, 1, 0, 0])
        .weight("w", &[2, 1, 1, 1], &[9.0, -9.0])
        .node("Conv", &["x", "w"], &["z"])
        .node("Round", &["z"], &["r"])
        .node("GlobalAveragePool", &["r"], &["y"])
        .output("y");
    written(folder, &model)
}

/// A segmenter of grey images whose probability is 0 or 1.
pub fn thresholded(folder: &Path) -> PathBuf {
    let model = Model::new(17)
        .input("x", &[1, 1, 0, 0])
        .weight("t", &[1], &[0.5])
        .node("Greater", &["x", "t"], &["m"])
        .node_number("Cast", &["m"], &["y"], &[("to", FLOAT)])
        .output("y");
    written(folder, &model)
}

#[test]
fn an_attack_that_needs_a_gradient_is_refused_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = rounded(folder.path());
    let device = Device::flex();
    let model = model::open(&path, &device).unwrap();
    let x = Tensor::<4>::random([1, 1, 8, 8], Distribution::Uniform(0.0, 1.0), &device);
    let objective = Objective::classes(model.card().head, 0, &[0], &device);
    for name in ["fgsm", "pgd", "deepfool", "carlini-wagner"] {
        let attack = Attack::named(name).unwrap();
        let refused = attack.run_through(model.as_ref(), &x, &objective, &[0.1], &Default::default());
        assert!(matches!(refused, Err(AttackError::Model(ModelError::NoGradient { .. }))), "{name}: {refused:?}");
    }
    let random = Attack::random_sign(0).unwrap();
    assert!(random.run_through(model.as_ref(), &x, &objective, &[0.1], &Default::default()).is_ok());
    // The same on the command line.
    write_npy(&folder.path().join("x.npy"), &[1, 8, 8], &[100.0; 64]).unwrap();
    let said = |args: &[&str]| program(folder.path()).args(args).output().unwrap();
    let inspected = said(&["model", "inspect", "a.onnx"]);
    let words = String::from_utf8_lossy(&inspected.stdout).into_owned();
    assert!(inspected.status.success() && words.contains("Round (node the Round)"), "{words}");
    let given = ["x.npy", "--model", "a.onnx", "--out", "a.npy", "--device", "cpu"];
    let with = |more: &[&'static str]| [more, &given[..]].concat();
    assert!(said(&with(&["predict"])).status.success());
    std::fs::remove_file(folder.path().join("a.npy")).unwrap();
    let refused = complaint(&said(&with(&["attack", "--epsilon", "4/255"])));
    assert!(
        refused.contains("forward works, gradient does not") && refused.contains("Round (node the Round)"),
        "{refused}"
    );
    assert!(!folder.path().join("a.npy").exists());
    assert!(said(&with(&["attack", "--attack", "random-sign", "--epsilon", "4/255"])).status.success());
}
