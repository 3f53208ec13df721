//! Weights from PyTorch's files, under the names of public U-Nets, compute what PyTorch computes; a damaged or hostile file is
//! refused in one line, and nothing in it is run.

use crate::fixture::{dense, host, max_difference, path, tensors};
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::model::unet::Upsampling;
use epsiloscope::model::{self, BuiltIn, Head, Model, UNetFile, ZScore};
use std::path::Path;

fn copy(name: &str, folder: &Path) -> std::path::PathBuf {
    let to = folder.join(name);
    std::fs::copy(path(name), &to).unwrap();
    to
}

/// The image and PyTorch's logits.
fn reference(name: &str) -> (Tensor<4>, Vec<f32>) {
    let mut stored = tensors(&std::fs::read(path(&format!("{name}.logits.safetensors"))).unwrap());
    let (shape, values) = stored.remove("x").unwrap();
    let shape = <[usize; 4]>::try_from(shape).unwrap();
    (Tensor::from_data(TensorData::new(values, shape), &Device::flex()), stored.remove("logits").unwrap().1)
}

fn error(path: &Path) -> String {
    let error = model::open(path, &Device::flex()).err().expect("must be refused").to_string();
    assert!(error.contains(&path.file_name().unwrap().to_string_lossy().into_owned()), "{error}");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn public_unets_compute_what_pytorch_computes() {
    for (name, levels, upsampling) in [
        ("milesial", (3, 2), Upsampling::Transposed),
        ("milesial-bilinear", (1, 1), Upsampling::Bilinear),
        ("mateuszbuda", (3, 1), Upsampling::Transposed),
    ] {
        let model = model::open(&path(&format!("{name}.pth")), &Device::flex()).unwrap();
        let card = model.card();
        let network = card.network.clone().unwrap();
        assert_eq!((network.channels, network.outputs), levels, "{name}");
        assert_eq!((network.base, network.depth, network.upsampling), (2, 4, upsampling), "{name}");
        assert!(!model.facts().guessed.is_empty(), "{name}: what was guessed is said");
        let (x, expected) = reference(name);
        let logits = host(dense(model.logits(x).unwrap()));
        let spread = expected.iter().fold(0f32, |most, v| most.max(v.abs()));
        let off = max_difference(&logits, &expected);
        println!("{name}: off by {off:.1e} of {spread:.2}");
        assert!(off <= 1e-5 * spread.max(1.0), "{name}: off by {off} of {spread}");
    }
    let card = UNetFile::read(&path("mateuszbuda.pth"), &Device::flex()).unwrap().card;
    assert_eq!((card.input.z_score, card.head), (Some(ZScore::Channel), Head::Sigmoid));
}

#[test]
fn what_is_saved_is_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let (x, _) = reference("milesial");
    let file = UNetFile::read(&path("milesial.pth"), &Device::flex()).unwrap();
    let logits = |path: &Path| host(dense(BuiltIn::load(path, &Device::flex()).unwrap().logits(x.clone()).unwrap()));
    let original = logits(&path("milesial.pth"));
    for name in ["saved.bpk", "saved.safetensors"] {
        let saved = folder.path().join(name);
        BuiltIn::save(&saved, &file.card, &file.network).unwrap();
        assert_eq!(logits(&saved), original, "{name}");
        assert_eq!(model::read_card(&saved.with_extension("toml")).unwrap(), file.card);
        assert!(UNetFile::read(&saved, &Device::flex()).unwrap().guessed().is_empty(), "its card lies beside it");
    }
}

#[test]
fn half_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["milesial.pth", "same.safetensors"] {
        let whole = std::fs::read(path(name)).unwrap();
        for keep in [20, whole.len() / 2, whole.len() - 40] {
            let cut = folder.path().join(name);
            std::fs::write(&cut, &whole[..keep]).unwrap();
            error(&cut);
        }
    }
    let packed = folder.path().join("packed.bpk");
    let file = UNetFile::read(&path("milesial.pth"), &Device::flex()).unwrap();
    BuiltIn::save(&packed, &file.card, &file.network).unwrap();
    let whole = std::fs::read(&packed).unwrap();
    for keep in [6, 12, 200, whole.len() / 2] {
        std::fs::write(&packed, &whole[..keep]).unwrap();
        error(&packed);
    }
}

#[test]
fn pickles_that_want_to_run_something_are_refused_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    // {"x": os.system("touch TRACE")}, as pickle.dumps writes it in protocol 2.
    let command = format!("touch {}", trace.display());
    let mut pickle = b"\x80\x02}X\x01\0\0\0xcposix\nsystem\nX".to_vec();
    pickle.extend((command.len() as u32).to_le_bytes());
    pickle.extend(command.as_bytes());
    pickle.extend(b"\x85Rs.");
    let plain = folder.path().join("plain.pt");
    std::fs::write(&plain, pickle).unwrap();
    let said = error(&plain);
    assert!(said.contains("posix.system") && said.contains("nothing was run"), "{said}");
    assert!(!trace.exists());
    // The same beside weights, in a file of torch.save.
    let said = error(&copy("code.pt", folder.path()));
    assert!(said.contains("posix.system") && said.contains("nothing was run"), "{said}");
    assert!(!Path::new("epsiloscope-was-here").exists());
}

#[test]
fn all_that_is_missing_or_superfluous_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("renamed.safetensors");
    let network = UNetFile::read(&path("milesial.pth"), &Device::flex()).unwrap();
    BuiltIn::save(&file, &network.card, &network.network).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let names = ["down.1.second.conv.weight", "up.0.transpose.bias", "bottleneck.first.norm.beta"];
    for name in names {
        // The beginning of the file says where each tensor lies, by its name in quotes.
        let quoted = format!("\"{name}\"").into_bytes();
        let at = (0..bytes.len() - quoted.len()).find(|&at| bytes[at..].starts_with(&quoted)).unwrap();
        bytes[at + quoted.len() - 2] = b'X';
    }
    std::fs::write(&file, bytes).unwrap();
    let said = error(&file);
    assert!(said.contains("lacks weights of its network: 3 tensors are missing ("), "{said}");
    assert!(said.contains("3 tensors are not part of the network (") && !said.contains('…'), "{said}");
    for name in names {
        assert!(said.contains(name) && said.contains(&format!("{}X", &name[..name.len() - 1])), "{name}: {said}");
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lies.safetensors");
    let write = |header: &str, length: u64| {
        std::fs::write(&file, [&length.to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat()).unwrap();
        error(&file)
    };
    let tensor = |shape: &str, end: u64| {
        format!(r#"{{"down.0.first.conv.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    for header in [
        tensor("[1048576,1048576]", 1 << 42),
        tensor("[4]", 1 << 20),
        tensor("[8]", 16),
        tensor("[18446744073709551615,2]", 16),
    ] {
        write(&header, header.len() as u64);
    }
    write(&tensor("[4]", 16), 1 << 39);
    // Well-formed, and of no network.
    let said = write(&tensor("[4]", 16), tensor("[4]", 16).len() as u64);
    assert!(said.contains("shapes that are not a U-Net"), "{said}");
    let other = r#"{"conv1.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;
    let said = write(other, other.len() as u64);
    assert!(said.contains("conv1.weight") && said.contains("ONNX"), "{said}");
}

#[test]
fn cards_that_are_wrong_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let weights = copy("milesial.pth", folder.path());
    let card = |change: &dyn Fn(&mut model::ModelCard)| {
        let mut card = UNetFile::read(&path("milesial.pth"), &Device::flex()).unwrap().card;
        change(&mut card);
        model::write_card(&weights.with_extension("toml"), &card).unwrap();
        model::open(&weights, &Device::flex()).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(card(&|_| ()), "");
    assert!(card(&|c| c.channels = 1).contains("says 1 channels and its network takes 3"));
    assert!(
        card(&|c| c.classes.truncate(1)).contains("milesial.toml: the model card cannot be used: it names 1 classes")
    );
    assert!(
        card(&|c| c.network.as_mut().unwrap().base = 4)
            .contains("milesial.toml: the model card cannot be used: it describes another network")
    );
    std::fs::write(weights.with_extension("toml"), "name = 'x'\nchanels = 3\n").unwrap();
    let said = model::open(&weights, &Device::flex()).err().unwrap().to_string();
    assert!(said.contains("milesial.toml") && said.contains("line 2") && said.contains("chanels"), "{said}");
}
