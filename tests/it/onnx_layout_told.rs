//! By what it is known where the channels of a graph lie: operators, a card, shapes; and what is said where nothing tells.

use crate::command_line::{program, text};
use crate::fixture::{host, max_difference};
use crate::onnx_file::Model as File;
use crate::onnx_layout::{
    TO_LAST, TO_SECOND, card_of_cube, linear_of, mixed_along, network, opened, random, same, save, second, waves,
};
use epsiloscope::data::{read_npy, write_npy};
use epsiloscope::model::{Layout, ModelCard, write_card};
use std::path::Path;

/// Runs `attack` in `folder`.
#[track_caller]
fn attack(folder: &Path, arguments: &[&str]) {
    let mut command = program(folder);
    command.args(["attack", "--device", "cpu", "--bounds", "0,1", "--model", "net.onnx"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn raw_attacks_take_the_channels_from_where_the_card_says() {
    let x = host(random([1, 3, 3, 3]));
    // Without the card the first is refused, and the second is taken for one with the channels second.
    for dims in [[1, 3, 3, 3], [0, 0, 0, 0]] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let read = |name: &str| read_npy(&at(name)).unwrap().values;
        write_npy(&at("x.npy"), &[3, 3, 3], &x).unwrap();
        write_card(&at("net.toml"), &card_of_cube(Layout::Nhwc)).unwrap();
        save(folder.path(), "net", &linear_of(27, &dims)).unwrap();
        let one = |extra: &[&str], out: &str, gradient: &str| {
            let fixed = ["x.npy", "--label", "class:0", "--epsilon", "0.05", "--out", out, "--save-gradient", gradient];
            attack(folder.path(), &[&fixed, extra].concat());
            (read(out), read(gradient))
        };
        let (scaled, gradient) = one(&[], "a.npy", "g.npy");
        // Of a linear layer the gradient is a multiple of the difference of its two columns, whose rows are the channels last.
        let w = waves(54);
        let places = (0..27).map(|i| (i % 9) * 3 + i / 9);
        let slope: Vec<f32> = places.map(|row| w[2 * row + 1] - w[2 * row]).collect();
        let most = (0..27).max_by(|&a, &b| slope[a].abs().total_cmp(&slope[b].abs())).unwrap();
        let factor = gradient[most] / slope[most];
        assert!(factor > 1e-3 && slope.iter().zip(&gradient).all(|(s, g)| (s * factor - g).abs() <= 1e-4));
        let (raw, raw_gradient) = one(&["--raw"], "raw.npy", "raw-g.npy");
        assert!(max_difference(&raw_gradient, &gradient) <= 1e-5, "{dims:?}: {raw_gradient:?} for {gradient:?}");
        assert!(max_difference(&raw, &scaled) <= 1e-5, "{dims:?}");
        std::fs::write(at("cases.csv"), "input,label,epsilon\nx.npy,class:0,0.05\n").unwrap();
        attack(folder.path(), &["--batch", "cases.csv", "--raw", "--save", "kept", "--out", "table.csv"]);
        assert!(max_difference(&read("kept/0.npy"), &scaled) <= 1e-5, "{dims:?}: of a batch");
    }
}

#[test]
fn graphs_that_take_channels_from_two_axes_are_told_by_the_shape_and_the_card() {
    let x = random([1, 3, 12, 12]);
    let plain = opened(&second(&[1, 3, 12, 12])).unwrap();
    // Columns are mixed as if they were channels, before anything takes them as such.
    let columns = |dims: &[i64]| {
        let file = mixed_along(File::new(17).input("x", dims), "x", "i", [TO_SECOND, TO_LAST]);
        network(file, "i", "y").output("y")
    };
    let model = opened(&columns(&[1, 3, 12, 12])).unwrap();
    assert_eq!((model.card().channels, model.card().input.layout), (3, None));
    same(plain.as_ref(), model.as_ref(), &x);
    // And rows, of images whose channels are last.
    let file = mixed_along(File::new(17).input("x", &[1, 12, 12, 3]), "x", "r", [("perm", &[0, 1, 2, 3]); 2]);
    let file = network(file.node_with("Transpose", &["r"], &["i"], &[TO_SECOND]), "i", "map");
    let last = opened(&file.node_with("Transpose", &["map"], &["y"], &[TO_LAST]).output("y")).unwrap();
    assert_eq!((last.card().channels, last.card().input.layout), (3, Some(Layout::Nhwc)));
    same(plain.as_ref(), last.as_ref(), &x);
    // Where the shape does not tell, the card is asked for.
    let folder = tempfile::tempdir().unwrap();
    let said = save(folder.path(), "net", &columns(&[0, 0, 0, 0])).err().unwrap();
    for words in ["axis 1", "axis 3", "second or last", "layout = \"nchw\""] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let mut card = model.card().clone();
    card.input.layout = Some(Layout::Nchw);
    write_card(&folder.path().join("net.toml"), &card).unwrap();
    same(plain.as_ref(), save(folder.path(), "net", &columns(&[0, 0, 0, 0])).unwrap().as_ref(), &x);
}

#[test]
fn channels_are_fewer_than_rows_and_columns() {
    // A convolution of 2 × 2 pixels, and the same as a layer along channels that these pixels became.
    let plain = File::new(17).input("x", &[1, 2, 16, 24]).weight("w", &[3, 2, 2, 2], &waves(24));
    let plain = opened(&plain.node_with("Conv", &["x", "w"], &["y"], &[("strides", &[2, 2])]).output("y")).unwrap();
    let unshuffled = |dims: &[i64], parts: &[i64], perm: &[i64]| {
        let file = File::new(17).input("x", dims).weight("w", &[3, 8, 1, 1], &waves(24));
        file.ints("parts", parts)
            .ints("joined", &[1, 8, 8, 12])
            .node("Reshape", &["x", "parts"], &["p"])
            .node_with("Transpose", &["p"], &["t"], &[("perm", perm)])
            .node("Reshape", &["t", "joined"], &["u"])
    };
    let second = unshuffled(&[1, 2, 16, 24], &[1, 2, 8, 2, 12, 2], &[0, 1, 3, 5, 2, 4]);
    let second = second.node("Conv", &["u", "w"], &["y"]).output("y");
    let last = unshuffled(&[1, 16, 24, 2], &[1, 8, 2, 12, 2, 2], &[0, 5, 2, 4, 1, 3]);
    let last = last.node("Conv", &["u", "w"], &["z"]).node_with("Transpose", &["z"], &["y"], &[TO_LAST]).output("y");
    for (file, layout) in [(second, None), (last, Some(Layout::Nhwc))] {
        let model = opened(&file).unwrap();
        assert_eq!((model.card().channels, model.card().input.layout, model.card().output.layout), (2, layout, layout));
        same(plain.as_ref(), model.as_ref(), &random([1, 2, 16, 24]));
    }
}

#[test]
fn a_card_that_lays_out_what_is_no_map_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |file: &File, card: &ModelCard| {
        write_card(&folder.path().join("net.toml"), card).unwrap();
        save(folder.path(), "net", file).err().unwrap_or_default()
    };
    let pooled = || {
        let file = network(File::new(17).input("x", &[0, 3, 0, 0]), "x", "map");
        file.node("GlobalAveragePool", &["map"], &["p"]).node("Flatten", &["p"], &["y"])
    };
    let mut card = opened(&pooled().output("y")).unwrap().card().clone();
    card.output.layout = Some(Layout::Nhwc);
    // A file that says of how many axes its output is, and one that does not.
    for (file, words) in [(pooled().output_of("y", &[0, 2]), "has 2 axes"), (pooled().output("y"), "is no map")] {
        let said = refused(&file, &card);
        assert!(
            said.contains("net.toml") && said.contains("output is nhwc") && said.contains(words),
            "{words}: {said}"
        );
    }
    // That it is as ONNX has it says nothing more.
    card.output.layout = Some(Layout::Nchw);
    assert_eq!(refused(&pooled().output("y"), &card), "");
}

#[test]
fn where_nothing_tells_it_is_said_that_the_channels_are_axis_1() {
    let said = |file: &File| opened(file).unwrap().facts().guessed.join("; ");
    let doubled = |dims: &[i64]| {
        let file = File::new(17).input("x", dims).weight("two", &[1], &[2.0]);
        file.node("Mul", &["x", "two"], &["y"]).output("y")
    };
    let words = "the channels are axis 1 of the input: nothing in the graph says so";
    assert!(said(&doubled(&[0, 0, 0, 0])).contains(words), "{}", said(&doubled(&[0, 0, 0, 0])));
    // Shapes tell it of the first two, and operators of the third.
    for file in [doubled(&[0, 3, 0, 0]), doubled(&[1, 16, 24, 3]), second(&[0, 0, 0, 0])] {
        assert!(!said(&file).contains("axis 1"), "{}", said(&file));
    }
}
