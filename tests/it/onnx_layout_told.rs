//! By what it is known where the channels of a graph lie: operators, a card, shapes; and what is said where nothing tells.

use crate::command_line::{program, text};
use crate::fixture::{host, max_difference};
use crate::onnx_file::Model as File;
use crate::onnx_layout::{random, save, waves};
use epsiloscope::data::{read_npy, write_npy};
use epsiloscope::model::{Head, Layout, ModelCard, SizeRule, Task, write_card};
use std::path::Path;

/// A linear layer of the values of an image of 3 × 3 in three channels, which does not tell where these are.
fn linear(dims: &[i64]) -> File {
    let file = File::new(17).input("x", dims).weight("w", &[27, 2], &waves(54));
    file.node("Flatten", &["x"], &["f"]).node("MatMul", &["f", "w"], &["y"]).output("y")
}

/// A card for [`linear`], in whose graph the channels are the last axis.
fn card_of_last() -> ModelCard {
    let mut card = ModelCard {
        task: Task::Classification,
        channels: 3,
        head: Head::Softmax,
        size_rule: SizeRule::Resize([3, 3]),
        ..ModelCard::default()
    };
    card.input.layout = Some(Layout::Nhwc);
    card
}

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
        write_card(&at("net.toml"), &card_of_last()).unwrap();
        save(folder.path(), "net", &linear(&dims)).unwrap();
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
