//! Weights and cards that cannot be used are refused, with what is wrong and where.

use crate::fixture::{Fixture, path};
use burn::tensor::{Device, Tensor};
use epsiloscope::model::unet::{Downsampling, Padding, UNetConfig};
use epsiloscope::model::{BuiltIn, ModelCard, read_network};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// The weights of the fixture `same` after `change` has had each tensor's name, type and bytes.
fn changed(change: impl Fn(&str, &mut Dtype, &mut Vec<u8>)) -> Vec<u8> {
    let bytes = std::fs::read(path("same.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<_> = file
        .iter()
        .map(|(name, view)| {
            let (mut dtype, mut data) = (view.dtype(), view.data().to_vec());
            change(name, &mut dtype, &mut data);
            (name.to_owned(), dtype, view.shape().to_vec(), data)
        })
        .collect();
    let views =
        tensors.iter().map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("spoiled.safetensors");
    std::fs::copy(path("same.toml"), weights.with_extension("toml")).unwrap();
    let load = |bytes: Vec<u8>| {
        std::fs::write(&weights, bytes).unwrap();
        BuiltIn::load(&weights, &Device::flex())
    };
    assert!(load(changed(|_, _, _| ())).is_ok());
    let name = "bottleneck.second.conv.weight";
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 7] {
            let error = load(changed(|tensor, _, data| {
                if tensor == name {
                    data[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
                }
            }));
            let error = error.err().expect("must be refused").to_string();
            assert!(error.contains("spoiled.safetensors: 1 of the 2304 values of"), "{error}");
            assert!(error.contains(name) && error.contains("not finite"), "{error}");
        }
    }
    // Running statistics count as well.
    let error = load(changed(|tensor, _, data| {
        if tensor == "down.0.first.norm.running_var" {
            *data = f32::NAN.to_le_bytes().repeat(data.len() / 4);
        }
    }));
    let error = error.err().expect("must be refused").to_string();
    assert!(error.contains("4 of the 4 values of down.0.first.norm.running_var"), "{error}");
}

#[test]
fn weights_of_other_types_are_refused() {
    let bytes = changed(|name, dtype, data| {
        if name == "head.weight" {
            *dtype = Dtype::I16;
            data.truncate(data.len() / 2);
        }
    });
    let card = Fixture::open("same").card;
    let error = read_network("half.safetensors".as_ref(), &card, bytes, &Device::flex()).unwrap_err().to_string();
    assert!(
        error.contains("half.safetensors: lacks weights of its network: 1 tensor is missing (head.weight)"),
        "{error}"
    );
}

#[test]
fn unpadded_strided_networks_are_refused() {
    let fixture = Fixture::open("valid");
    let device = Device::flex();
    let network = UNetConfig { downsampling: Downsampling::Strided, ..fixture.card.network.clone().unwrap() };
    let error =
        BuiltIn::new(ModelCard { network: Some(network), ..fixture.card.clone() }, &fixture.network(&device), &device);
    let error = error.err().expect("must be refused").to_string();
    assert!(error.contains("valid") && error.contains("max-pool downsampling only"), "{error}");
    let config = UNetConfig { padding: Padding::Valid, downsampling: Downsampling::Strided, ..UNetConfig::new(2, 2) };
    assert!(config.check().is_err());
    assert!(UNetConfig { padding: Padding::Same, ..config.clone() }.check().is_ok());
    // Why: of 80 pixels 48 come out, where the margin of 20 on each side says 40.
    let logits = config.init(&device).forward(Tensor::zeros([1, 1, 80, 80], &device));
    assert_eq!((logits.dims(), config.margin()), ([1, 1, 48, 48], 20));
}
