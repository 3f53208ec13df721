//! ONNX models on the CPU, for `benches/peers/graphs.py`, which asks for times line by line and compares:
//!
//! `forward MODEL 1,3,224,224 RUNS` and `gradient …` (of the sum of the output) answer with seconds, one a run;
//! `cost MODEL 1,3,224,224` with the seconds of loading and, in MB, what is resident afterwards and the peaks of a forward
//! pass and of a gradient above what there was before. `where MODEL 1,3,224,224` prints the operators that take the time.
//! Without lines nothing is done.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::model::Logits;
use epsiloscope::model::onnx::Graph;
use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

fn sum(logits: Logits) -> Tensor<1> {
    match logits {
        Logits::Dense(y) => y.sum(),
        Logits::Class(y) => y.sum(),
    }
}

fn forward(graph: &Graph, x: &Tensor<4>) {
    let y = match graph.forward(x.clone(), 0).unwrap() {
        Logits::Dense(y) => y.into_data(),
        Logits::Class(y) => y.into_data(),
    };
    assert!(!y.shape().is_empty());
}

fn gradient(graph: &Graph, x: &Tensor<4>) {
    let x = x.clone().autodiff().require_grad();
    let gradient = x.grad(&sum(graph.forward(x.clone(), 0).unwrap()).backward()).expect("a gradient");
    assert_eq!(gradient.into_data().shape(), x.into_data().shape());
}

fn image(shape: &str) -> Tensor<4> {
    let dims: Vec<usize> = shape.split(',').map(|d| d.parse().unwrap()).collect();
    let dims: [usize; 4] = dims.try_into().unwrap();
    let count: usize = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i * 2_654_435_761) >> 9 & 0xff) as f32 / 255.0).collect();
    Tensor::from_data(TensorData::new(values, dims), &Device::flex())
}

/// What this process holds now (`VmRSS:`) or held at most (`VmHWM:`), in MB; 0 where the system does not tell.
fn megabytes(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(line)).unwrap_or("0");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) * 1024.0 / 1e6
}

/// Runs `f` and tells the peak above `before`.
fn peak(before: f64, f: impl FnOnce()) -> f64 {
    // From here on, the highest that memory rises.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    f();
    megabytes("VmHWM:") - before
}

fn cost(model: &str, shape: &str) -> String {
    let x = image(shape);
    let before = megabytes("VmRSS:");
    let start = Instant::now();
    let mut loaded = None;
    let load_peak = peak(before, || loaded = Some(Graph::open(Path::new(model), &Device::flex()).unwrap()));
    let seconds = start.elapsed().as_secs_f64();
    let graph = loaded.unwrap();
    let resident = megabytes("VmRSS:") - before;
    let forward = peak(before, || forward(&graph, &x));
    let gradient = peak(before, || gradient(&graph, &x));
    format!("[{seconds}, {load_peak}, {resident}, {forward}, {gradient}]")
}

fn main() {
    let mut graphs: HashMap<String, Graph> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split('\t').collect();
        let [what, model, shape] = words[..3] else { panic!("{line}") };
        if what == "cost" {
            println!("{}", cost(model, shape));
            continue;
        }
        let graph = graphs
            .entry(model.to_owned())
            .or_insert_with(|| Graph::open(Path::new(model), &Device::flex()).unwrap_or_else(|e| panic!("{e}")));
        let x = image(shape);
        if what == "where" {
            for (operator, seconds, nodes) in graph.times(x.clone()).unwrap() {
                println!("{:8.2} ms  {nodes:4} × {operator}", seconds * 1e3);
            }
            continue;
        }
        let run = if what == "gradient" { gradient } else { forward };
        let runs: usize = words[3].parse().unwrap();
        run(graph, &x);
        let times: Vec<String> = (0..runs)
            .map(|_| {
                let start = Instant::now();
                run(graph, &x);
                start.elapsed().as_secs_f64().to_string()
            })
            .collect();
        println!("[{}]", times.join(", "));
    }
}
