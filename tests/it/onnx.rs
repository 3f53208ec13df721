//! ONNX models run as they do elsewhere, and their gradients are right.

use crate::fixture::{cosine, dense, devices, host, max_difference, path};
use crate::onnx_file::Model;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use epsiloscope::model::onnx::{FinalActivation, Graph, HostTensor, Value, Values, tensor_from_bytes};
use epsiloscope::model::{Logits, SizeRule};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Files of a case by name.
type Case = BTreeMap<String, Vec<u8>>;

/// The tensors `kind_0.pb`, `kind_1.pb`, … of a case with their names; or why one is not read.
fn tensors(case: &Case, kind: &str) -> Result<Vec<(String, HostTensor)>, String> {
    (0..).map_while(|i| case.get(&format!("{kind}_{i}.pb"))).map(|bytes| tensor_from_bytes(bytes)).collect()
}

/// Whether `got` is `expected`, as ONNX's own runner has it: relative 10⁻³ beside absolute 10⁻⁷ (for half precision, a
/// step of it).
fn same(got: &HostTensor, expected: &HostTensor) -> Result<(), String> {
    use epsiloscope::model::onnx::ElementType::{BF16, F16};
    if got.shape != expected.shape {
        return Err(format!("shape {:?} instead of {:?}", got.shape, expected.shape));
    }
    let half = matches!(expected.element, F16 | BF16);
    if let Values::Float(e) = &expected.values {
        let (relative, absolute) = if half { (1e-2, 1e-2) } else { (1e-3, 1e-6) };
        let close =
            |a: f32, e: f32| a == e || a.is_nan() && e.is_nan() || (a - e).abs() <= absolute + relative * e.abs();
        let got = got.to_floats();
        return match got.iter().zip(e).find(|(a, e)| !close(**a, **e)) {
            Some((a, e)) => Err(format!("value {a} instead of {e}")),
            None => Ok(()),
        };
    }
    if got.to_ints() == expected.to_ints() { Ok(()) } else { Err("other values".to_owned()) }
}

/// Runs a node test.
fn run_node(case: &Case, device: &Device) -> Result<(), String> {
    let inputs = tensors(case, "input")?;
    let expected = tensors(case, "output")?;
    let graph = Graph::from_bytes("model.onnx", &case["model.onnx"], device).map_err(|e| e.to_string())?;
    // Floats lie on the device, as an image would.
    let feeds = inputs
        .iter()
        .map(|(name, tensor)| {
            let on_device = tensor.element.is_float() && !tensor.is_empty() && !tensor.shape.is_empty();
            let value = Value::Host(tensor.clone());
            (name.as_str(), if on_device { Value::Float(value.into_float(device)) } else { value })
        })
        .collect();
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let outputs = graph.run(feeds, &names).map_err(|e| e.to_string())?;
    for ((name, expected), got) in expected.iter().zip(outputs) {
        same(&got.into_host()?, expected).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

/// The cases of `tests/fixtures/onnx-nodes.gz`.
fn fixture_cases() -> BTreeMap<String, Case> {
    let mut all = Vec::new();
    let file = std::fs::File::open(path("onnx-nodes.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut all).unwrap();
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let length = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let (name, size) = (length(0), length(4));
        let path = String::from_utf8(rest[8..8 + name].to_vec()).unwrap();
        let (case, file) = path.split_once('/').unwrap();
        cases.entry(case.into()).or_default().insert(file.into(), rest[8 + name..8 + name + size].to_vec());
        rest = &rest[8 + name + size..];
    }
    cases
}

#[test]
fn a_node_test_of_every_family_passes() {
    let cases = fixture_cases();
    assert!(cases.len() > 60, "{}", cases.len());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| run_node(case, &Device::flex()).err().map(|e| format!("{name}: {e}")))
        .collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

fn read_case(folder: &Path) -> Case {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files
        .map(|f| (f.file_name().into_string().unwrap(), f.path()))
        .filter(|(name, _)| name.ends_with(".pb") || name == "model.onnx")
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect()
}

fn folders(work: &Path, kind: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(work.join(kind)) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
#[ignore = "run by tests/reference/onnx_models.py, which makes what it reads"]
fn against_others() {
    let work = PathBuf::from(std::env::var("ONNX_WORK").expect("ONNX_WORK names the folder of the cases"));
    let nodes = folders(&work, "nodes");
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in &nodes {
        if let Err(cause) = run_node(&read_case(folder), &Device::flex()) {
            // The same cause at other nodes and shapes is one cause.
            let cause = cause.split(" failed: ").last().unwrap_or(&cause).to_owned();
            let cause = cause.split(". These ").next().unwrap_or(&cause).to_owned();
            failed.entry(cause).or_default().push(folder.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    let count: usize = failed.values().map(Vec::len).sum();
    let share = 100.0 * (nodes.len() - count) as f64 / nodes.len().max(1) as f64;
    for (cause, names) in &failed {
        println!("  {cause}: {}", names.join(" "));
    }
    println!("node tests: {} of {} pass, {share:.1} %", nodes.len() - count, nodes.len());
    let mut bad = Vec::new();
    // Flex or wgpu alone; networks by name.
    let [on, only] = ["ONNX_DEVICE", "ONNX_ONLY"].map(|name| std::env::var(name).unwrap_or_default());
    for (device_name, device) in devices().into_iter().filter(|(name, _)| on.is_empty() || on == *name) {
        for folder in folders(&work, "networks") {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            if !only.is_empty() && !only.split(',').any(|one| one == name) {
                continue;
            }
            match compare(&folder, &device) {
                Ok(line) => println!("{device_name}, {name}: {line}"),
                Err(line) => {
                    println!("{device_name}, {name}: WRONG: {line}");
                    bad.push(name);
                }
            }
        }
    }
    assert!(share >= 95.0 || nodes.is_empty(), "{share:.1} % of the node tests pass");
    assert!(bad.is_empty(), "{bad:?}");
}

/// One network: outputs and gradient beside those of others.
fn compare(folder: &Path, device: &Device) -> Result<String, String> {
    let case = read_case(folder);
    let start = Instant::now();
    let graph = Graph::open(&folder.join("model.onnx"), device).map_err(|e| e.to_string())?;
    let loaded = start.elapsed();
    let (_, x) = tensors(&case, "input")?.remove(0);
    let shape: [usize; 4] = x.shape.clone().try_into().map_err(|_| "the input is no image")?;
    let x = Tensor::<4>::from_data(TensorData::new(x.to_floats(), shape), device);
    let mut worst = 0.0f32;
    for (i, (_, expected)) in tensors(&case, "output")?.into_iter().enumerate() {
        let got = flat(graph.forward(x.clone(), i).map_err(|e| e.to_string())?);
        let expected = expected.to_floats();
        let (low, high) = expected.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        worst = worst.max(max_difference(&got, &expected) / (high - low).max(1e-6));
    }
    let start = Instant::now();
    flat(graph.forward(x.clone(), 0).map_err(|e| e.to_string())?);
    let forward = start.elapsed();
    let mut line = format!("loaded in {loaded:.1?}, forward {forward:.1?}, off by {worst:.1e} of the range");
    let (_, weight) = tensor_from_bytes(&case["weight.pb"])?;
    let mut fine = worst <= 1e-4;
    if weight.is_empty() {
        line += ", no gradient to compare";
    } else {
        let (_, expected) = tensor_from_bytes(&case["gradient.pb"])?;
        let start = Instant::now();
        let x = x.autodiff().require_grad();
        let y = match graph.forward(x.clone(), 0).map_err(|e| e.to_string())? {
            Logits::Dense(y) => y.flatten::<1>(0, 3),
            Logits::Class(y) => y.flatten::<1>(0, 1),
        };
        let count = weight.len();
        let weight = Tensor::<1>::from_data(TensorData::new(weight.to_floats(), [count]), device);
        let gradient = x.grad(&(y * weight).sum().backward()).ok_or("no gradient")?;
        let gradient = host(gradient);
        let cosine = cosine(&gradient, &expected.to_floats());
        line += &format!(", gradient {:.1?}, cosine {cosine:.7}", start.elapsed());
        fine &= cosine >= 0.9999;
    }
    if fine { Ok(line) } else { Err(line) }
}

fn flat(logits: Logits) -> Vec<f32> {
    match logits {
        Logits::Dense(y) => host(y),
        Logits::Class(y) => epsiloscope::tensor::to_host(y).unwrap(),
    }
}

/// The folder of models beside the checkout, or `None`, with the reason printed.
fn models() -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/models");
    if !path.is_dir() {
        println!("skipped: the models beside the checkout are absent");
        return None;
    }
    Some(path)
}

/// The 32-bit floats of a `.npy` file of version 1.
fn npy(path: PathBuf) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn a_published_u_net_gives_its_published_output() {
    let Some(folder) = models().map(|m| m.join("bioimageio_unet2d_nuclei")) else { return };
    let x = npy(folder.join("test_input.npy"));
    let count = x.len() as f64;
    let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let deviation = (x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count).sqrt();
    let x: Vec<f32> = x.iter().map(|&v| ((f64::from(v) - mean) / (deviation + 1e-6)) as f32).collect();
    let device = Device::flex();
    let graph = Graph::open(&folder.join("weights.onnx"), &device).unwrap();
    let x = Tensor::<4>::from_data(TensorData::new(x, [1, 1, 512, 512]), &device);
    let y = host(sigmoid(dense(graph.forward(x, 0).unwrap())));
    let off = max_difference(&y, &npy(folder.join("test_output.npy")));
    println!("off by {off:.1e}");
    assert!(off <= 1e-5, "off by {off}");
}

/// Smooth everywhere: convolution, tanh, transposed convolution, sigmoid.
pub fn smooth() -> Model {
    let values = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin() * 0.4).collect::<Vec<_>>();
    Model::new(17)
        .input("x", &[0, 2, 0, 0])
        .weight("w", &[5, 2, 3, 3], &values(90))
        .weight("v", &[5, 3, 2, 2], &values(60))
        .node_with("Conv", &["x", "w"], &["a"], &[("pads", &[1, 1, 1, 1])])
        .node("Tanh", &["a"], &["b"])
        .node_with("ConvTranspose", &["b", "v"], &["c"], &[("strides", &[2, 2])])
        .node("Softplus", &["c"], &["d"])
        .node("Sigmoid", &["d"], &["e"])
        .node("Identity", &["e"], &["y"])
        .output("y")
}

#[test]
fn gradients_equal_finite_differences_on_every_device() {
    for (name, device) in devices() {
        let graph = Graph::from_bytes("smooth", &smooth().bytes(), &device).unwrap();
        device.seed(4);
        let x = Tensor::<4>::random([1, 2, 7, 9], Distribution::Uniform(-1.0, 1.0), &device);
        let direction = Tensor::<4>::random([1, 2, 7, 9], Distribution::Uniform(-1.0, 1.0), &device);
        let value = |x: Tensor<4>| host(dense(graph.forward(x, 0).unwrap())).iter().map(|&v| f64::from(v)).sum::<f64>();
        let tracked = x.clone().autodiff().require_grad();
        let sum = dense(graph.forward(tracked.clone(), 0).unwrap()).sum();
        let gradient = tracked.grad(&sum.backward()).unwrap();
        let slope: f64 = host(gradient * direction.clone()).iter().map(|&v| f64::from(v)).sum();
        let h = 1e-2;
        let measured = (value(x.clone() + direction.clone() * h) - value(x - direction * h)) / (2.0 * h);
        println!("{name}: {slope} and measured {measured}");
        assert!((slope - measured).abs() <= 1e-3 * measured.abs().max(1.0), "{name}: {slope}, measured {measured}");
    }
}

#[test]
fn the_final_activation_is_seen_and_taken_off() {
    let device = Device::flex();
    let graph = Graph::from_bytes("smooth", &smooth().bytes(), &device).unwrap();
    assert_eq!(graph.final_activation(0), Some(FinalActivation::Sigmoid));
    let x = Tensor::<4>::random([2, 2, 4, 6], Distribution::Uniform(-1.0, 1.0), &device);
    let p = host(dense(graph.forward(x.clone(), 0).unwrap()));
    let z = dense(graph.logits(x, 0).unwrap());
    assert_eq!(z.dims(), [2, 3, 8, 12]);
    assert!(max_difference(&host(sigmoid(z)), &p) <= 1e-6);
}

#[test]
fn what_the_file_stores_is_counted_before_anything_is_folded() {
    let model = Model::new(17)
        .input("x", &[0, 2, 0, 0])
        .weight("w", &[3, 2, 1, 1], &[0.5; 6])
        .weight("s", &[3], &[1.0, 2.0, 3.0])
        .node("Conv", &["x", "w"], &["a"])
        .node("BatchNormalization", &["a", "s", "s", "s", "s"], &["b"])
        .node("Relu", &["b"], &["y"])
        .output("y");
    let graph = Graph::from_bytes("stored", &model.bytes(), &Device::flex()).unwrap();
    let summary = graph.summary([1, 2, 8, 8]).unwrap();
    assert_eq!(summary.parameters, 9);
    let operators: Vec<&str> = summary.operators.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(operators, ["BatchNormalization", "Conv", "Relu"]);
}

#[test]
fn the_summary_counts_what_is_there() {
    let graph = Graph::from_bytes("smooth", &smooth().bytes(), &Device::flex()).unwrap();
    let summary = graph.summary([1, 2, 8, 8]).unwrap();
    println!("{summary:?}");
    assert_eq!(summary.parameters, 150);
    assert_eq!(summary.output, [1, 3, 16, 16]);
    // 2·5·64·18 in the convolution, 2·5·64·12 in the transposed one, and some for activations.
    let convolutions = 2 * 5 * 64 * 18 + 2 * 5 * 64 * 12;
    assert!(summary.flops > convolutions && summary.flops < 2 * convolutions);
    assert!(summary.peak_live_bytes >= 4 * (3 + 3) * 256);
    // Four times the pixels take four times the memory.
    let ratio = graph.working_bytes(512, 512) as f64 / graph.working_bytes(256, 256) as f64;
    assert!((ratio - 4.0).abs() < 0.1, "{ratio}");
}

/// The size rule that is guessed for a graph.
fn size_rule(model: &Model) -> SizeRule {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    epsiloscope::model::open(&path, &Device::flex()).unwrap().card().size_rule
}

#[test]
fn sizes_that_a_graph_does_not_name_are_tried() {
    let pooled = |n: i64| {
        let factors = [1.0, 1.0, n as f32, n as f32];
        Model::new(17)
            .input("x", &[0, 1, 0, 0])
            .weight("f", &[4], &factors)
            .node_with("MaxPool", &["x"], &["p"], &[("kernel_shape", &[n, n]), ("strides", &[n, n])])
            .node("Resize", &["p", "", "f"], &["u"])
            .node("Add", &["x", "u"], &["y"])
            .output("y")
    };
    assert_eq!(size_rule(&pooled(16)), SizeRule::MultipleOf(32));
    // Nothing is divided: images of odd sizes are not padded.
    let free = Model::new(17).input("x", &[0, 1, 0, 0]).weight("w", &[1, 1, 3, 3], &[0.1; 9]);
    let padded = free.clone().node_with("Conv", &["x", "w"], &["y"], &[("pads", &[1, 1, 1, 1])]).output("y");
    assert_eq!(size_rule(&padded), SizeRule::Any);
    assert_eq!(size_rule(&free.node("Conv", &["x", "w"], &["y"]).output("y")), SizeRule::Any);
    // It takes odd sizes, and gives maps of even ones.
    let halved = Model::new(17)
        .input("x", &[0, 1, 0, 0])
        .weight("f", &[4], &[1.0, 1.0, 2.0, 2.0])
        .node_with("MaxPool", &["x"], &["p"], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])])
        .node("Resize", &["p", "", "f"], &["y"])
        .output("y");
    assert_eq!(size_rule(&halved), SizeRule::MultipleOf(32));
    assert_eq!(size_rule(&pooled(64)), SizeRule::MultipleOf(64));
    // 224² alone, which only the linear layer knows.
    let flat = Model::new(17)
        .input("x", &[0, 1, 0, 0])
        .weight("w", &[56 * 56, 3], &vec![0.1; 3 * 56 * 56])
        .node_with("MaxPool", &["x"], &["p"], &[("kernel_shape", &[4, 4]), ("strides", &[4, 4])])
        .node("Flatten", &["p"], &["f"])
        .node("MatMul", &["f", "w"], &["y"])
        .output("y");
    assert_eq!(size_rule(&flat), SizeRule::Resize([224, 224]));
}

#[test]
fn a_graph_for_one_image_takes_several_in_turns() {
    let values: Vec<f32> = (0..27).map(|i| (1.0 + i as f32 * 0.9).sin()).collect();
    let one = Model::new(17).input("x", &[1, 3, 6, 5]).weight("w", &[1, 3, 3, 3], &values);
    let one = one.node("Conv", &["x", "w"], &["y"]).output("y");
    let device = Device::flex();
    let graph = Graph::from_bytes("a.onnx", &one.bytes(), &device).unwrap();
    let x = Tensor::<4>::random([3, 3, 6, 5], Distribution::Uniform(-1.0, 1.0), &device);
    let all = dense(graph.forward(x.clone(), 0).unwrap());
    assert_eq!(all.dims(), [3, 1, 4, 3]);
    let each: Vec<f32> =
        (0..3).flat_map(|i| host(dense(graph.forward(x.clone().narrow(0, i, 1), 0).unwrap()))).collect();
    assert_eq!(host(all), each);
    let x = x.autodiff().require_grad();
    let sum = dense(graph.forward(x.clone(), 0).unwrap()).sum();
    let gradient = host(x.grad(&sum.backward()).unwrap());
    assert!(gradient.chunks(90).all(|part| part == &gradient[..90]) && gradient[0] != 0.0);
}
