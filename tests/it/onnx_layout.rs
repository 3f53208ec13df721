//! Graphs that take or give the channels last compute what their twins with the channels second do.

use crate::command_line::{program, text};
use crate::fixture::{dense, host, max_difference};
use crate::onnx_file::Model as File;
use burn::tensor::{Device, Distribution, Tensor};
use epsiloscope::data::{read_npy, write_npy};
use epsiloscope::model::{Layout, Logits, Model, ModelCard, SizeRule, Task, open, read_card, within, write_card};
use std::path::Path;
use std::sync::Arc;

pub const TO_LAST: (&str, &[i64]) = ("perm", &[0, 2, 3, 1]);
pub const TO_SECOND: (&str, &[i64]) = ("perm", &[0, 3, 1, 2]);

pub fn waves(count: usize) -> Vec<f32> {
    (0..count).map(|i| (0.3 + i as f32 * 0.7).sin() * 0.4).collect()
}

pub fn save(folder: &Path, name: &str, file: &File) -> Result<Arc<dyn Model>, String> {
    let path = folder.join(format!("{name}.onnx"));
    std::fs::write(&path, file.bytes()).unwrap();
    open(&path, &Device::flex()).map_err(|error| error.to_string())
}

pub fn opened(file: &File) -> Result<Arc<dyn Model>, String> {
    save(tempfile::tempdir().unwrap().path(), "net", file)
}

pub fn random(shape: [usize; 4]) -> Tensor<4> {
    Tensor::random(shape, Distribution::Uniform(0.0, 1.0), &Device::flex())
}

/// A convolution, a tanh and another one of `image` into `map`, three channels to two.
pub fn network(file: File, image: &str, map: &str) -> File {
    file.weight("w", &[4, 3, 3, 3], &waves(108))
        .weight("v", &[2, 4, 3, 3], &waves(72))
        .node_with("Conv", &[image, "w"], &["a"], &[("pads", &[1, 1, 1, 1])])
        .node("Tanh", &["a"], &["b"])
        .node_with("Conv", &["b", "v"], &[map], &[("pads", &[1, 1, 1, 1])])
}

pub fn second(dims: &[i64]) -> File {
    network(File::new(17).input("x", dims), "x", "y").output("y")
}

/// With the channels last at both ends.
fn last(dims: &[i64]) -> File {
    let file = File::new(17).input("x", dims).node_with("Transpose", &["x"], &["image"], &[TO_SECOND]);
    network(file, "image", "map").node_with("Transpose", &["map"], &["y"], &[TO_LAST]).output("y")
}

/// The logits and the gradient of a weighted sum of them.
fn both(model: &dyn Model, x: &Tensor<4>) -> [Vec<f32>; 2] {
    let x = x.clone().autodiff().require_grad();
    let z = match model.logits(x.clone()).unwrap() {
        Logits::Dense(z) => z,
        Logits::Class(z) => {
            let [images, classes] = z.dims();
            z.reshape([images, classes, 1, 1])
        }
    };
    let count = z.shape().num_elements();
    let weights = Tensor::<1>::from_floats(waves(count).as_slice(), &Device::flex()).reshape(z.dims());
    let sum = (z.clone() * Tensor::from_inner(weights)).sum();
    let gradient = x.grad(&sum.backward()).unwrap();
    [host(z.without_autodiff()), host(gradient)]
}

#[track_caller]
pub fn same(one: &dyn Model, other: &dyn Model, x: &Tensor<4>) {
    let ([z, gradient], [z_other, gradient_other]) = (both(one, x), both(other, x));
    assert!(z.iter().any(|v| v.abs() > 1e-3) && max_difference(&z, &z_other) <= 1e-5, "logits differ");
    assert!(gradient.iter().any(|v| v.abs() > 1e-3), "no gradient");
    assert!(max_difference(&gradient, &gradient_other) <= 1e-5, "gradients differ");
}

#[test]
fn channels_last_compute_what_channels_second_do() {
    // Of one size, of any, and of shapes that both readings fit.
    for (image, twin, sides) in [
        ([1, 16, 24, 3], [1, 3, 16, 24], [16, 24]),
        ([0, 0, 0, 3], [0, 3, 0, 0], [20, 28]),
        ([0, 0, 0, 0], [0, 0, 0, 0], [20, 28]),
        ([1, 3, 3, 3], [1, 3, 3, 3], [3, 3]),
    ] {
        let (nchw, nhwc) = (opened(&second(&twin)).unwrap(), opened(&last(&image)).unwrap());
        let x = random([1, 3, sides[0], sides[1]]);
        same(nchw.as_ref(), nhwc.as_ref(), &x);
        let layouts = |model: &Arc<dyn Model>| (model.card().input.layout, model.card().output.layout);
        assert_eq!(layouts(&nchw), (None, None), "{image:?}");
        assert_eq!(layouts(&nhwc), (Some(Layout::Nhwc), Some(Layout::Nhwc)), "{image:?}");
        assert_eq!((nhwc.card().channels, nhwc.card().outputs()), (3, 2));
        assert_eq!(nhwc.card().size_rule, nchw.card().size_rule);
        let said = nhwc.facts().guessed.join("; ");
        assert!(said.contains("channels are the last axis of the input"), "{said}");
        // Ports are told as the file has them.
        let about = nhwc.about(sides);
        let shape = image.map(|d| if d > 0 { d.to_string() } else { "n".to_owned() }).join(", ");
        assert!(about.inputs[0].contains(&format!("[{shape}]")), "{:?}", about.inputs);
    }
}

#[test]
fn only_the_output_has_its_channels_last() {
    let plain = opened(&second(&[0, 3, 0, 0])).unwrap();
    let file = network(File::new(17).input("x", &[0, 3, 0, 0]), "x", "map");
    let turned = opened(&file.node_with("Transpose", &["map"], &["y"], &[TO_LAST]).output("y")).unwrap();
    assert_eq!((turned.card().input.layout, turned.card().output.layout), (None, Some(Layout::Nhwc)));
    same(plain.as_ref(), turned.as_ref(), &random([2, 3, 18, 26]));
    // No transposition tells: the shape of the map does.
    let plain = opened(&second(&[1, 3, 16, 24])).unwrap();
    let file = network(File::new(17).input("x", &[1, 3, 16, 24]), "x", "map");
    let file = file.ints("flat", &[2, 384]).ints("map shape", &[1, 16, 24, 2]);
    let file = file.node("Reshape", &["map", "flat"], &["rows"]);
    let file = file.node_with("Transpose", &["rows"], &["columns"], &[("perm", &[1, 0])]);
    let turned = opened(&file.node("Reshape", &["columns", "map shape"], &["y"]).output("y")).unwrap();
    assert_eq!(turned.card().output.layout, Some(Layout::Nhwc));
    same(plain.as_ref(), turned.as_ref(), &random([1, 3, 16, 24]));
}

#[test]
fn what_stands_before_the_transposition_and_a_softmax_behind_it_are_followed() {
    let plain = File::new(17).input("x", &[0, 3, 0, 0]).weight("m", &[3, 1, 1], &[0.4, 0.5, 0.6]);
    let plain = network(plain.node("Sub", &["x", "m"], &["c"]), "c", "y").output("y");
    let file = File::new(17).input("x", &[0, 0, 0, 3]).weight("m", &[3], &[0.4, 0.5, 0.6]);
    let file = file.node("Sub", &["x", "m"], &["c"]).node_with("Transpose", &["c"], &["i"], &[TO_SECOND]);
    let file = network(file, "i", "map").node_with("Transpose", &["map"], &["z"], &[TO_LAST]);
    let model = opened(&file.node("Softmax", &["z"], &["y"]).output("y")).unwrap();
    assert_eq!(model.card().output.activation, epsiloscope::model::Activation::Softmax);
    assert!(model.facts().notes.is_empty(), "{:?}", model.facts().notes);
    same(opened(&plain).unwrap().as_ref(), model.as_ref(), &random([1, 3, 18, 26]));
}

#[test]
fn whole_images_are_classified() {
    let ends = |file: File| file.node("GlobalAveragePool", &["map"], &["p"]);
    let plain = ends(network(File::new(17).input("x", &[0, 3, 0, 0]), "x", "map"));
    let plain = opened(&plain.node("Flatten", &["p"], &["y"]).output("y")).unwrap();
    let file = File::new(17).input("x", &[0, 0, 0, 3]).node_with("Transpose", &["x"], &["i"], &[TO_SECOND]);
    let file = ends(network(file, "i", "map"));
    // [images, 1, 1, classes]
    let pooled = opened(&file.clone().node_with("Transpose", &["p"], &["y"], &[TO_LAST]).output("y")).unwrap();
    let flat = opened(&file.node("Flatten", &["p"], &["y"]).output("y")).unwrap();
    let x = random([2, 3, 20, 16]);
    for model in [pooled, flat] {
        assert_eq!((model.card().task, model.card().outputs()), (Task::Classification, 2));
        same(plain.as_ref(), model.as_ref(), &x);
    }
}

/// A linear layer of all values, so many, which does not tell where the channels are.
pub fn linear_of(count: usize, dims: &[i64]) -> File {
    let file = File::new(17).input("x", dims).weight("w", &[count as i64, 2], &waves(2 * count));
    file.node("Flatten", &["x"], &["f"]).node("MatMul", &["f", "w"], &["y"]).output("y")
}

fn linear(dims: &[i64]) -> File {
    linear_of(dims[1..].iter().product::<i64>() as usize, dims)
}

/// A card of such a layer for images of 3 × 3 in three channels that lie so in the graph.
pub fn card_of_cube(layout: Layout) -> ModelCard {
    let mut card = ModelCard {
        task: Task::Classification,
        channels: 3,
        head: epsiloscope::model::Head::Softmax,
        size_rule: SizeRule::Resize([3, 3]),
        ..ModelCard::default()
    };
    card.input.layout = Some(layout);
    card
}

#[test]
fn what_nothing_tells_is_refused_and_the_card_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let said = save(folder.path(), "cube", &linear(&[1, 3, 3, 3])).err().unwrap();
    for words in ["cube.onnx", "x float[1, 3, 3, 3]", "second or last", "layout = \"nhwc\"", "--inputs-as-nchw"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    // Values of an image of 3 × 3, as the card says they lie.
    let x = random([1, 3, 3, 3]);
    let product = |values: Vec<f32>| -> Vec<f32> {
        let w = waves(54);
        (0..2).map(|class| values.iter().enumerate().map(|(i, v)| v * w[2 * i + class]).sum()).collect()
    };
    let mut logits = Vec::new();
    for (layout, expected) in
        [(Layout::Nchw, product(host(x.clone()))), (Layout::Nhwc, product(host(x.clone().permute([0, 2, 3, 1]))))]
    {
        let card = card_of_cube(layout);
        write_card(&folder.path().join("cube.toml"), &card).unwrap();
        assert_eq!(read_card(&folder.path().join("cube.toml")).unwrap(), card);
        let model = save(folder.path(), "cube", &linear(&[1, 3, 3, 3])).unwrap();
        let [z, _] = both(model.as_ref(), &x);
        assert!(max_difference(&z, &expected) <= 1e-5, "{layout:?}: {z:?} {expected:?}");
        logits.push(z);
    }
    assert!(max_difference(&logits[0], &logits[1]) > 1e-3);
    // Clear by their shapes.
    for (dims, layout) in
        [([1, 3, 8, 8], None), ([1, 8, 8, 3], Some(Layout::Nhwc)), ([1, 28, 28, 1], Some(Layout::Nhwc))]
    {
        let model = opened(&linear(&dims)).unwrap();
        assert_eq!(model.card().input.layout, layout, "{dims:?}");
        // Another card that does not say it changes nothing.
        let mut card = model.card().clone();
        card.input.layout = None;
        let again = model.with_card(card).unwrap();
        same(model.as_ref(), again.as_ref(), &random([1, model.card().channels, 8, 8]));
    }
}

#[test]
fn a_card_that_contradicts_the_operators_is_refused_and_one_that_agrees_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = last(&[0, 0, 0, 3]);
    let model = save(folder.path(), "net", &file).unwrap();
    let mut card = model.card().clone();
    write_card(&folder.path().join("net.toml"), &card).unwrap();
    let again = save(folder.path(), "net", &file).unwrap();
    assert_eq!((again.card(), again.facts().guessed.len()), (&card, 0));
    let x = random([1, 3, 12, 20]);
    same(model.as_ref(), again.as_ref(), &x);
    // A card without a word of it is one, too; so is one that is put in its place later.
    (card.input.layout, card.output.layout) = (None, None);
    write_card(&folder.path().join("net.toml"), &card).unwrap();
    same(model.as_ref(), save(folder.path(), "net", &file).unwrap().as_ref(), &x);
    same(model.as_ref(), model.with_card(card.clone()).unwrap().as_ref(), &x);
    card.input.layout = Some(Layout::Nchw);
    write_card(&folder.path().join("net.toml"), &card).unwrap();
    let said = save(folder.path(), "net", &file).err().unwrap();
    assert!(said.contains("net.toml") && said.contains("input is nchw") && said.contains("nhwc"), "{said}");
}

/// Mixes what the transposition `there` makes the second axis, of 12 values, as if these were channels, each with itself alone, so
/// that nothing changes.
pub fn mixed_along(file: File, image: &str, mixed: &str, [there, back]: [(&str, &[i64]); 2]) -> File {
    let same: Vec<f32> = (0..144).map(|i| f32::from(u8::from(i / 12 == i % 12))).collect();
    file.weight("itself", &[12, 12, 1, 1], &same)
        .node_with("Transpose", &[image], &["turned"], &[there])
        .node("Conv", &["turned", "itself"], &["mixed"])
        .node_with("Transpose", &["mixed"], &[mixed], &[back])
}

fn mixed_rows(file: File, image: &str, mixed: &str) -> File {
    mixed_along(file, image, mixed, [("perm", &[0, 2, 1, 3]); 2])
}

#[test]
fn graphs_that_mix_rows_as_if_they_were_channels_are_told_by_the_rest() {
    let x = random([1, 3, 12, 12]);
    let plain = opened(&second(&[1, 3, 12, 12])).unwrap();
    let file = mixed_rows(File::new(17).input("x", &[1, 3, 12, 12]), "x", "i");
    let model = opened(&network(file, "i", "y").output("y")).unwrap();
    assert_eq!((model.card().input.layout, model.card().output.layout), (None, None));
    same(plain.as_ref(), model.as_ref(), &x);
    let mut card = model.card().clone();
    (card.input.layout, card.output.layout) = (Some(Layout::Nchw), Some(Layout::Nchw));
    same(plain.as_ref(), model.with_card(card).unwrap().as_ref(), &x);
    // Without another convolution the shape tells, and where it does not the card is asked for.
    let only = |dims| mixed_rows(File::new(17).input("x", dims), "x", "y").output("y");
    let model = opened(&only(&[1, 3, 12, 12])).unwrap();
    assert_eq!((model.card().channels, model.card().input.layout), (3, None));
    let said = opened(&only(&[1, 12, 12, 12])).err().unwrap();
    for words in ["axis 2", "second or last", "layout = \"nchw\""] {
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn channels_in_another_order_are_followed_and_what_is_not_followed_is_asked() {
    let x = random([1, 3, 20, 28]);
    let gathered = |file: File, axis| {
        file.ints("bgr", &[2, 1, 0]).node_number("Gather", &["x", "bgr"], &["swapped"], &[("axis", axis)])
    };
    let parted = |file: File, axis| {
        file.node_number("Split", &["x"], &["red", "green", "blue"], &[("axis", axis)]).node_number(
            "Concat",
            &["blue", "green", "red"],
            &["swapped"],
            &[("axis", axis)],
        )
    };
    let shuffles: [&dyn Fn(File, i64) -> File; 2] = [&gathered, &parted];
    for swapped in shuffles {
        let plain = swapped(File::new(17).input("x", &[0, 3, 0, 0]), 1);
        let plain = opened(&network(plain, "swapped", "y").output("y")).unwrap();
        // Nothing but the operators tells.
        let file = swapped(File::new(17).input("x", &[0, 0, 0, 0]), 3);
        let file = file.node_with("Transpose", &["swapped"], &["i"], &[TO_SECOND]);
        let file = network(file, "i", "map").node_with("Transpose", &["map"], &["y"], &[TO_LAST]);
        let model = opened(&file.output("y")).unwrap();
        assert_eq!((model.card().input.layout, model.card().output.layout), (Some(Layout::Nhwc), Some(Layout::Nhwc)));
        same(plain.as_ref(), model.as_ref(), &x);
    }
    let hidden = |dims| {
        let file = File::new(17).input("x", dims).ints("the same", &[0, 0, 0, 0]);
        let file =
            file.node("Reshape", &["x", "the same"], &["r"]).node_with("Transpose", &["r"], &["i"], &[TO_SECOND]);
        network(file, "i", "map").node_with("Transpose", &["map"], &["y"], &[TO_LAST]).output("y")
    };
    let said = opened(&hidden(&[0, 0, 0, 0])).err().unwrap();
    for words in ["not followed", "second or last", "layout = \"nhwc\""] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let model = opened(&hidden(&[0, 0, 0, 3])).unwrap();
    assert_eq!(model.card().input.layout, Some(Layout::Nhwc));
    same(opened(&second(&[0, 3, 0, 0])).unwrap().as_ref(), model.as_ref(), &x);
}

#[test]
fn arrays_have_their_channels_first_with_raw_too_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let x = random([1, 3, 3, 3]);
    write_npy(&folder.path().join("x.npy"), &[1, 3, 3, 3], &host(x.clone())).unwrap();
    let mut found = Vec::new();
    for (name, file, turned) in [("last", last(&[1, 3, 3, 3]), true), ("second", second(&[1, 3, 3, 3]), false)] {
        save(folder.path(), name, &file).unwrap();
        let mut command = program(folder.path());
        command.args(["predict", "x.npy", "--raw", "--out", "z.npy", "--device", "cpu", "--model"]);
        let output = command.arg(format!("{name}.onnx")).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains("are turned") == turned, "{said}");
        found.push(read_npy(&folder.path().join("z.npy")).unwrap().values);
    }
    assert!(found[0].len() == 18 && max_difference(&found[0], &found[1]) <= 1e-5, "{found:?}");
}

/// A graph whose channels are last, with two classes at `e`; so many features that tiles of it take less memory.
fn wide() -> File {
    let file = File::new(17).input("x", &[0, 0, 0, 3]).node_with("Transpose", &["x"], &["i"], &[TO_SECOND]);
    file.weight("w", &[64, 3, 3, 3], &waves(64 * 27))
        .weight("v", &[2, 64, 1, 1], &waves(128))
        .node_with("Conv", &["i", "w"], &["a"], &[("pads", &[1, 1, 1, 1])])
        .node("Tanh", &["a"], &["b"])
        .node("Tanh", &["b"], &["c"])
        .node("Conv", &["c", "v"], &["d"])
        .node_with("Transpose", &["d"], &["e"], &[TO_LAST])
}

/// `e` of [`wide`] times the axes of its shape from `start` to before `end`.
fn times_its_shape(start: i64, end: i64) -> File {
    wide()
        .node_number("Shape", &["e"], &["s"], &[("start", start), ("end", end)])
        .node_number("Cast", &["s"], &["factor"], &[("to", 1)])
        .node("Mul", &["e", "factor"], &["y"])
        .output("y")
}

#[test]
fn channels_last_are_cut_into_tiles() {
    let [height, width] = [160, 192];
    let x = random([1, 3, height, width]);
    // How many images there are is the same in a tile.
    for file in [wide().node("Sigmoid", &["e"], &["y"]).output("y"), times_its_shape(0, 1)] {
        let model = opened(&file).unwrap();
        let tiled = within(model.clone(), model.working_bytes(height, width) * 3 / 5);
        let tiles = tiled.tiles(height, width).unwrap().expect("tiles");
        assert!(tiles.count[0] * tiles.count[1] > 1, "{tiles:?}");
        let [whole, parts] = [model, tiled].map(|model| host(dense(model.logits(x.clone()).unwrap())));
        assert!(max_difference(&whole, &parts) <= 1e-4, "off by {}", max_difference(&whole, &parts));
    }
}

#[test]
fn channels_last_that_compute_with_their_rows_are_not_cut() {
    let [height, width] = [160, 192];
    let model = opened(&times_its_shape(1, 2)).unwrap();
    let tiled = within(model.clone(), model.working_bytes(height, width) * 3 / 5);
    let why = tiled.tiles(height, width).unwrap_err();
    assert!(why.contains("Mul") && why.contains("size of the whole image"), "{why}");
}
