//! Training losses and their gradients are PyTorch's.

use super::trainings::largest_difference;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::train::Loss;
use std::path::Path;

#[test]
fn losses_and_their_gradients_are_pytorchs() {
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/losses.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let device = Device::flex();
    let values = |name: &str| -> Vec<f32> {
        let data = file.tensor(name).unwrap();
        data.data().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let tensor = |name: &str| -> Tensor<4> {
        let shape: [usize; 4] = file.tensor(name).unwrap().shape().try_into().unwrap();
        Tensor::from_data(TensorData::new(values(name), shape), &device)
    };
    let table: &[(&str, &str, Loss)] = &[
        ("sigmoid", "bce", Loss::Bce),
        ("sigmoid", "bce", Loss::CrossEntropy),
        ("sigmoid", "dice", Loss::Dice),
        ("sigmoid", "dice", Loss::Tversky { alpha: 0.5, beta: 0.5 }),
        ("sigmoid", "bce-dice", Loss::BceDice { dice_weight: 0.5 }),
        ("sigmoid", "tversky", Loss::Tversky { alpha: 0.3, beta: 0.7 }),
        ("sigmoid", "focal", Loss::Focal { gamma: 2.0, alpha: None }),
        ("sigmoid", "focal-alpha", Loss::Focal { gamma: 2.0, alpha: Some(0.25) }),
        ("sigmoid", "bce", Loss::Focal { gamma: 0.0, alpha: None }),
        ("softmax", "cross-entropy", Loss::CrossEntropy),
        ("softmax", "dice", Loss::Dice),
        ("softmax", "tversky", Loss::Tversky { alpha: 0.3, beta: 0.7 }),
        ("softmax", "focal", Loss::Focal { gamma: 2.0, alpha: None }),
    ];
    for (head, name, loss) in table {
        let z = tensor(&format!("{head}.logits")).autodiff().require_grad();
        let (y, w) = (tensor(&format!("{head}.target")).autodiff(), tensor(&format!("{head}.weight")).autodiff());
        let value = loss.value(z.clone(), y, w);
        let gradient = z.grad(&value.backward()).unwrap().try_into_vec_as::<f32>().unwrap();
        let value = value.inner().into_scalar::<f32>();
        let expected = values(&format!("{head}.{name}"))[0];
        assert!((value - expected).abs() < 2e-6, "{head}, {loss:?}: {value}, PyTorch {expected}");
        let difference = largest_difference(&gradient, &values(&format!("{head}.{name}.grad")));
        assert!(difference < 2e-6, "{head}, {loss:?}: gradients differ by {difference}");
    }
}
