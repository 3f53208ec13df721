//! Images whose gradient does not fit into memory are computed in tiles, and nobody sees a difference.

use crate::command_line::{complaint, program, text};
use crate::fixture::{dense, host, max_difference};
use crate::{onnx_file, stage};
use burn::tensor::{Device, Distribution, Tensor};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use epsiloscope::attack::{Objective, input_gradient};
use epsiloscope::data::{Mask, read_npy, write_npy};
use epsiloscope::engine::CaseInfo;
use epsiloscope::model::onnx::Graph;
use epsiloscope::model::unet::{Downsampling, Padding, UNetConfig, Upsampling};
use epsiloscope::model::{BuiltIn, ClassInfo, Head, Model, ModelCard, SizeRule, check_room, open, within};
use epsiloscope::workbench::CommandSender;
use epsiloscope::workbench::status::status_ui;
use std::path::Path;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

fn random(shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::random(shape, Distribution::Uniform(0.0, 1.0), device)
}

/// A mask of stripes, with pixels that do not count.
fn stripes([height, width]: [usize; 2]) -> Mask {
    let classes = (0..height * width).map(|i| match (i % width / 7 + i / width / 5) % 4 {
        0 | 2 => 0,
        1 => 1,
        _ => {
            if i % 3 == 0 {
                epsiloscope::data::IGNORE
            } else {
                1
            }
        }
    });
    Mask { height, width, classes: classes.collect() }
}

/// Logits in tiles are those of the whole up to 1e-5 of the largest, gradients up to 1e-3 of their norm. Gives back how many tiles there were.
#[track_caller]
fn check(model: &Arc<dyn Model>, memory: u64, x: &Tensor<4>) -> usize {
    let [_, _, height, width] = x.dims();
    assert_eq!(within(model.clone(), u64::MAX).tiles(height, width), Ok(None));
    let tiled = within(model.clone(), memory);
    let tiles = tiled.tiles(height, width).unwrap().unwrap();
    assert!(tiles.needed <= memory && tiled.working_bytes(height, width) == tiles.needed, "{tiles:?}");
    let whole = host(dense(model.logits(x.clone()).unwrap()));
    let largest = whole.iter().fold(0f32, |m, v| m.max(v.abs()));
    let parts = host(dense(tiled.logits(x.clone()).unwrap()));
    let off = max_difference(&whole, &parts);
    assert!(off <= 1e-5 * largest, "logits of {tiles:?}: off by {off} of {largest}");

    let card = model.card();
    let objective = Objective::segmentation(card.head, card.positive_class, &stripes([height, width]), &x.device());
    let (loss, whole) = input_gradient(model.as_ref(), x, &objective).unwrap();
    let (same, parts) = input_gradient(tiled.as_ref(), x, &objective).unwrap();
    assert!((loss - same).abs() <= 1e-5 * loss.abs(), "{loss} {same}");
    let (whole, parts) = (host(whole), host(parts));
    let largest = whole.iter().fold(0f32, |m, v| m.max(v.abs()));
    // Rounding depends on where a tile begins. It decides here and there on which side of 0 a ReLU's input is, or which of four
    // pixels is the largest, and so on a part of the gradient. A halo that is too small shows along all of a seam, and by far more.
    let apart = whole.iter().zip(&parts).filter(|(a, b)| (**a - **b).abs() > 1e-5 * largest).count();
    let squares = |of: &mut dyn Iterator<Item = f32>| of.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let off = squares(&mut whole.iter().zip(&parts).map(|(a, b)| a - b)) / squares(&mut whole.iter().copied());
    println!("{tiles:?}: gradient off by {off:.1e}, {apart} of {} values by more than 1e-5", whole.len());
    assert!(largest > 0.0 && off <= 1e-3, "gradient of {tiles:?}: off by {off:.1e} of its norm");
    assert!(apart * 10 <= whole.len(), "gradient of {tiles:?}: {apart} of {} values apart", whole.len());
    tiles.count[0] * tiles.count[1]
}

#[test]
fn the_bundled_model_in_tiles_is_the_bundled_model() {
    let device = Device::flex();
    let model: Arc<dyn Model> = Arc::new(BuiltIn::bundled(&device).unwrap());
    // 768 bytes a pixel as a whole: 171 MiB and more. Sizes that are no multiples of 16 are padded as ever.
    let count = check(&model, 130 * MIB, &random([1, 1, 480, 640], &device));
    assert!(count >= 4, "{count} tiles");
    check(&model, 100 * MIB, &random([1, 1, 301, 777], &device));
    // Two images at once, which go through the same tiles.
    let pair = random([2, 1, 400, 512], &device);
    check(&model, 120 * MIB, &pair);
    // What they differ by from the whole is each one's own: in a batch they have the gradient that they have alone.
    let objective = Objective::segmentation(Head::Sigmoid, 1, &stripes([400, 512]), &device);
    let tiled = within(model.clone(), 120 * MIB);
    let gradient = |x: &Tensor<4>| input_gradient(tiled.as_ref(), x, &objective).unwrap().1;
    let both = gradient(&pair);
    for image in 0..2 {
        let one = pair.clone().narrow(0, image, 1);
        assert_eq!(host(both.clone().narrow(0, image, 1)), host(gradient(&one)), "image {image}");
        check(&model, 120 * MIB, &one);
    }
}

fn unet(config: UNetConfig) -> BuiltIn {
    let device = Device::flex();
    device.seed(3);
    let card = ModelCard {
        name: "small".to_owned(),
        channels: config.channels,
        head: if config.outputs == 1 { Head::Sigmoid } else { Head::Softmax },
        size_rule: config.size_rule(),
        classes: (0..config.outputs.max(2)).map(|i| ClassInfo::new(format!("class {i}"))).collect(),
        network: Some(config.clone()),
        ..ModelCard::default()
    };
    BuiltIn::new(card, &config.init(&device), &device).unwrap()
}

#[test]
fn every_kind_of_u_net_can_be_cut_but_one() {
    let device = Device::flex();
    let small = UNetConfig::new(8, 3);
    let kinds = [
        UNetConfig { channels: 3, outputs: 3, ..small.clone() },
        UNetConfig { downsampling: Downsampling::Strided, ..small.clone() },
        UNetConfig { padding: Padding::Valid, ..small.clone() },
        UNetConfig { padding: Padding::Valid, depth: 2, ..small.clone() },
        UNetConfig { depth: 1, ..small.clone() },
    ];
    for config in kinds {
        let model: Arc<dyn Model> = Arc::new(unet(config.clone()));
        let count = check(&model, 42 * MIB, &random([1, config.channels, 300, 411], &device));
        assert!(count > 1, "{config:?}");
    }
    let bilinear = within(Arc::new(unet(UNetConfig { upsampling: Upsampling::Bilinear, ..small })), 42 * MIB);
    let why = bilinear.tiles(300, 411).unwrap_err();
    assert!(why.contains("bilinear"), "{why}");
    let error = check_room(bilinear.as_ref(), 300, 411).unwrap_err().to_string();
    assert!(error.contains("411×300") && error.contains("bilinear") && error.contains("Crop the image"), "{error}");
}

#[test]
fn a_network_of_one_size_keeps_one_tile_at_a_time() {
    let model = unet(UNetConfig::new(8, 2));
    let card = ModelCard { size_rule: SizeRule::tile(128), ..model.card().clone() };
    let model = model.with_card(card).unwrap();
    let count = check(&model, 20 * MIB, &random([1, 1, 250, 300], &Device::flex()));
    assert_eq!(count, 12);
}

#[test]
fn less_memory_than_a_tile_takes_is_refused() {
    let model = within(Arc::new(BuiltIn::bundled(&Device::flex()).unwrap()), 12 * MIB);
    let error = check_room(model.as_ref(), 2048, 2048).unwrap_err().to_string();
    assert!(error.contains("2048×2048") && error.contains("smallest tiles") && error.contains("3.0 GiB"), "{error}");
    assert!(check_room(model.as_ref(), 64, 64).is_ok());
}

/// A network that goes down and up again, as its file; `middle` makes `m` of `c` at half the resolution, in eight channels.
fn graph(middle: impl FnOnce(onnx_file::Model) -> onnx_file::Model) -> onnx_file::Model {
    let values = |n: usize, k: f32| (0..n).map(|i| (k + i as f32 * 0.77).sin() * 0.3).collect::<Vec<_>>();
    let model = onnx_file::Model::new(17)
        .input("x", &[0, 1, 0, 0])
        .weight("first", &[4, 1, 5, 5], &values(100, 0.1))
        .weight("down", &[8, 4, 3, 3], &values(288, 0.2))
        .weight("up", &[8, 4, 3, 3], &values(288, 0.4))
        .weight("last", &[1, 8, 1, 1], &values(8, 0.5))
        .weight("slope", &[4, 1, 1], &[0.1, 0.2, 0.3, 0.4])
        .node_with("Conv", &["x", "first"], &["f"], &[("pads", &[2, 2, 2, 2])])
        .node("PRelu", &["f", "slope"], &["s"])
        .node_with("MaxPool", &["s"], &["p"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])])
        .node_with("Conv", &["p", "down"], &["d"], &[("pads", &[1, 1, 1, 1])])
        .node("Relu", &["d"], &["c"]);
    middle(model)
        .node_with(
            "ConvTranspose",
            &["m", "up"],
            &["u"],
            &[("strides", &[2, 2]), ("pads", &[1, 1, 1, 1]), ("output_padding", &[1, 1])],
        )
        .node_number("Concat", &["s", "u"], &["j"], &[("axis", 1)])
        .node("Relu", &["j"], &["r"])
        .node_with("Conv", &["r", "last"], &["z"], &[])
        .node("Sigmoid", &["z"], &["y"])
        .output("y")
}

fn opened(model: &onnx_file::Model) -> Arc<dyn Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    open(&path, &Device::flex()).unwrap()
}

#[test]
fn onnx_graphs_that_see_so_far_and_no_farther_can_be_cut() {
    let x = random([1, 1, 384, 512], &Device::flex());
    let factors = [1.0, 1.0, 0.5, 0.5];
    let linear = |mode: &'static str| {
        move |model: onnx_file::Model| {
            let twice = factors.map(|f| 1.0 / f);
            model
                .weight("twice", &[4], &twice)
                .node_with(
                    "AveragePool",
                    &["c"],
                    &["a"],
                    &[("kernel_shape", &[3, 3]), ("strides", &[2, 2]), ("pads", &[0, 0, 1, 1])],
                )
                .node_text("Resize", &["a", "", "twice"], &["b"], &[("mode", mode)])
                .node("Add", &["b", "c"], &["m"])
        }
    };
    let dilated = |model: onnx_file::Model| {
        let values: Vec<f32> = (0..576).map(|i| (i as f32 * 0.31).sin() * 0.2).collect();
        let settings: [(&str, &[i64]); 2] = [("dilations", &[4, 4]), ("pads", &[4, 4, 4, 4])];
        model
            .weight("w", &[8, 8, 3, 3], &values)
            .node_with("Conv", &["c", "w"], &["e"], &settings)
            .node("Add", &["e", "c"], &["g"])
            .node("Relu", &["g"], &["m"])
    };
    let graphs = [
        ("linear", graph(linear("linear"))),
        ("nearest", graph(linear("nearest"))),
        ("cubic", graph(linear("cubic"))),
        ("dilated", graph(dilated)),
    ];
    for (name, model) in graphs {
        let model = opened(&model);
        let whole = model.working_bytes(384, 512);
        // Beside the tiles lie the image and what is made of it.
        let memory = 96 * 384 * 512 + whole / 3;
        let count = check(&model, memory, &x);
        assert!(count > 2, "{name}: {count} tiles");
        let raw = |model: &Arc<dyn Model>| host(dense(model.raw(x.clone()).unwrap()));
        let off = max_difference(&raw(&model), &raw(&within(model.clone(), memory)));
        assert!(off <= 1e-5, "{name}: {off}");
    }
}

#[test]
fn onnx_graphs_that_look_at_the_whole_image_are_refused_with_the_node() {
    let refused = |model: onnx_file::Model, node: &str| {
        let model = within(opened(&model), 8 * MIB);
        let why = model.tiles(512, 512).unwrap_err();
        assert!(why.contains(node) && why.contains("whole image"), "{why}");
        let error = check_room(model.as_ref(), 512, 512).unwrap_err().to_string();
        assert!(error.contains(node) && error.contains("512×512"), "{error}");
    };
    refused(
        graph(|m| m.node("GlobalAveragePool", &["c"], &["g"]).node("Add", &["c", "g"], &["m"])),
        "GlobalAveragePool",
    );
    let ones = [1.0f32; 8];
    refused(
        graph(|m| {
            m.weight("scale", &[8], &ones).weight("shift", &[8], &ones).node(
                "InstanceNormalization",
                &["c", "scale", "shift"],
                &["m"],
            )
        }),
        "InstanceNormalization",
    );
    // Corners that stay: every pixel moves with the size.
    let corners = graph(|m| {
        m.weight("two", &[4], &[1.0, 1.0, 2.0, 2.0])
            .node_with("MaxPool", &["c"], &["p2"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])])
            .node_text(
                "Resize",
                &["p2", "", "two"],
                &["m"],
                &[("mode", "linear"), ("coordinate_transformation_mode", "align_corners")],
            )
    });
    refused(corners, "Resize");
    // Numbers that are other ones in a tile: divided by the width, and resized to a size that does not grow with the image.
    let width = |m: onnx_file::Model| {
        m.ints("last axis", &[3])
            .node("Shape", &["x"], &["sizes"])
            .node("Gather", &["sizes", "last axis"], &["whole"])
            .node_number("Cast", &["whole"], &["width"], &[("to", 1)])
    };
    refused(graph(|m| width(m).node("Div", &["c", "width"], &["m"])), "Div");
    refused(graph(|m| width(m).node("Clip", &["c", "", "width"], &["m"])), "Clip");
    refused(graph(|m| width(m).node("Sqrt", &["width"], &["root"]).node("Mul", &["root", "c"], &["m"])), "Mul");
    let fixed = onnx_file::Model::new(17)
        .input("x", &[0, 1, 0, 0])
        .ints("size", &[1, 1, 256, 256])
        .node_text("Resize", &["x", "", "", "size"], &["y"], &[("mode", "nearest")])
        .output("y");
    let why = Graph::from_bytes("fixed", &fixed.bytes(), &Device::flex()).unwrap().locality(0, 1, 1).unwrap_err();
    assert!(why.contains("Resize"), "{why}");
    // Attention: a matrix product over all pixels.
    let product = graph(|m| m.node("MatMul", &["c", "c"], &["m"]));
    refused(product, "MatMul");
}

#[test]
fn the_window_says_that_an_image_is_in_tiles() {
    let model = within(Arc::new(BuiltIn::bundled(&Device::flex()).unwrap()), 130 * MIB);
    let tiles = model.tiles(480, 640).unwrap().unwrap();
    let mut state = stage::state(stage::FGSM, stage::FOUR);
    let case = CaseInfo::clone(state.case.as_ref().unwrap());
    state.case = Some(Arc::new(CaseInfo { tiles: Some(tiles), ..case }));
    let mut harness = Harness::new_ui(move |ui| {
        let (commands, _heard) = CommandSender::new(ui.ctx().clone());
        status_ui(ui, &state, &commands);
    });
    harness.run();
    harness.get_by_label(&format!("{} tiles", tiles.count[0] * tiles.count[1]));
}

#[test]
fn an_attack_and_a_sweep_say_that_an_image_is_in_tiles_and_keep_to_their_memory() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..400 * 400).map(|i| ((i * 37 % 251) as f32 / 250.0 * 255.0).round()).collect();
    write_npy(&folder.path().join("x.npy"), &[1, 400, 400], &values).unwrap();
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/membranes-unet.safetensors");
    let run = |memory: &str, out: &str| {
        let mut attack = program(folder.path());
        attack.args(["attack", "x.npy", "--epsilon", "4/255", "--device", "cpu", "--memory", memory, "--out", out]);
        attack.args(["--bounds", "0,255", "--model"]).arg(&weights).output().unwrap()
    };
    let (whole, tiled) = (run("4", "whole.npy"), run("0.1", "tiled.npy"));
    assert!(whole.status.success() && tiled.status.success(), "{}", text(&tiled.stderr));
    assert!(!text(&whole.stderr).contains("tiles"));
    let said = text(&tiled.stderr);
    assert!(said.contains("400×400 pixels: computed in") && said.contains("0.1 GiB may be used"), "{said}");
    let of = |name: &str| read_npy(&folder.path().join(name)).unwrap().values;
    // Signs of gradients that are nearly nothing may turn.
    let same = of("whole.npy").iter().zip(of("tiled.npy")).filter(|(a, b)| **a == *b).count();
    assert!(same as f64 >= 0.999 * values.len() as f64, "{same} of {}", values.len());
    let refused = complaint(&run("0.015", "none.npy"));
    assert!(refused.contains("400×400") && refused.contains("smallest tiles"), "{refused}");

    let sweep = program(folder.path())
        .args(["sweep", "x.npy", "--epsilons", "4/255", "--device", "cpu", "--memory", "0.1", "--bounds", "0,255"])
        .args(["--out", "report"])
        .output()
        .unwrap();
    let said = text(&sweep.stderr);
    assert!(sweep.status.success() && said.contains("400×400 pixels: computed in"), "{said}");
    let report = std::fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert!(report.contains("computed in") && report.contains("--memory 0.1"));
}
