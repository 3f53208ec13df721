//! Model files with damage of any kind open and compute, or say what is wrong; they never take the program down.

use crate::damage::{Change, any_change};
use crate::onnx::smooth;
use crate::onnx_file::Model;
use burn::tensor::{Device, Tensor};
use epsiloscope::model::onnx::Graph;
use proptest::test_runner::{Config, TestRunner};
use std::path::{Path, PathBuf};

/// Operators whose settings and shapes come from the file.
fn samples() -> Vec<Vec<u8>> {
    let values = |n: usize| (0..n).map(|i| (i as f32 * 0.3).cos()).collect::<Vec<_>>();
    let network = Model::new(17)
        .input("x", &[0, 2, 0, 0])
        .weight("w", &[4, 2, 3, 3], &values(72))
        .weight("b", &[4], &values(4))
        .node_with("Conv", &["x", "w", "b"], &["a"], &[("pads", &[1, 1, 1, 1]), ("strides", &[2, 2])])
        .node("Relu", &["a"], &["r"])
        .node_with("MaxPool", &["r"], &["p"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])])
        .ints("to", &[0, 4, -1])
        .node("Reshape", &["p", "to"], &["s"])
        .weight("m", &[3], &[1.0, 2.0, 3.0])
        .ints("starts", &[0])
        .ints("ends", &[3])
        .node("Slice", &["m", "starts", "ends"], &["t"])
        .node("Transpose", &["s"], &["u"])
        .node("ReduceMax", &["u"], &["v"])
        .node("Add", &["v", "t"], &["y"])
        .output("y");
    vec![smooth().bytes(), network.bytes()]
}

fn fuzz(cases: u32, samples: &[Vec<u8>], check: impl Fn(usize, &[u8])) {
    let cases = std::env::var("EPSILOSCOPE_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    use proptest::strategy::Strategy;
    let strategy = (0..samples.len(), proptest::collection::vec(any_change(), 1..6)).boxed();
    TestRunner::new(config)
        .run(&strategy, |(index, changes): (usize, Vec<Change>)| {
            let mut broken = samples[index].clone();
            changes.iter().for_each(|change| change.apply(&mut broken));
            check(index, &broken);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn changed_onnx_graphs_run_or_say_why() {
    let device = Device::flex();
    let samples = samples();
    for sample in &samples {
        let graph = Graph::from_bytes("sample.onnx", sample, &device).unwrap();
        let x = Tensor::<4>::zeros([1, 2, 9, 8], &device);
        let ran = graph.run(
            vec![("x", epsiloscope::model::onnx::Value::Float(x.into_dispatch()))],
            &[&graph.outputs().next().unwrap().name],
        );
        ran.unwrap();
    }
    fuzz(500, &samples, |_, broken| match Graph::from_bytes("sample.onnx", broken, &device) {
        Ok(graph) => {
            if let Err(error) = graph.forward(Tensor::zeros([1, 2, 9, 8], &device), 0) {
                assert!(error.to_string().contains("sample.onnx"), "{error}");
            }
        }
        Err(error) => assert!(error.to_string().contains("sample.onnx"), "{error}"),
    });
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn changed_weights_open_or_say_why() {
    let names = ["milesial-bilinear.pth", "same.safetensors"];
    let samples: Vec<Vec<u8>> = names.iter().map(|name| std::fs::read(fixture(name)).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    fuzz(120, &samples, |index, broken| {
        let path = folder.path().join(names[index]);
        std::fs::write(&path, broken).unwrap();
        if let Err(error) = epsiloscope::model::open(&path, &Device::flex()) {
            assert!(error.to_string().contains(names[index]), "{error}");
        }
    });
}
