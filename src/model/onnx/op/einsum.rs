//! Einstein's sum convention: operands are contracted two by two, as products of matrices.

use super::arithmetic::expand;
use super::call::Call;
use super::{Operator, Outcome};
use crate::model::onnx::host::{positions, strides};
use crate::model::onnx::value::{Value, check_size, reshape, upload_index};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Dispatch, DispatchTensor, TensorMetadata};

pub(super) static OPERATORS: &[Operator] = &[Operator::new("Einsum", einsum)];

/// A tensor whose dimensions have labels, each once.
struct Operand {
    tensor: DispatchTensor,
    labels: Vec<char>,
}

impl Operand {
    fn shape(&self) -> Vec<usize> {
        self.tensor.shape().iter().copied().collect()
    }

    fn length(&self, label: char) -> usize {
        self.labels.iter().position(|&l| l == label).map_or(1, |i| self.tensor.shape()[i])
    }

    /// The dimensions that are not `kept` summed away.
    fn summed(self, kept: impl Fn(char) -> bool) -> Self {
        let mut tensor = self.tensor;
        let gone: Vec<usize> = (0..self.labels.len()).filter(|&i| !kept(self.labels[i])).collect();
        for &i in &gone {
            tensor = Dispatch::float_sum_dim(tensor, i);
        }
        let labels: Vec<char> = self.labels.iter().copied().filter(|&l| kept(l)).collect();
        let shape: Vec<usize> =
            tensor.shape().iter().copied().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, n)| n).collect();
        Self { tensor: reshape(tensor, shape.as_slice().into()), labels }
    }

    /// Dimensions in the order of `labels`, all of which it has.
    fn ordered(self, labels: &[char]) -> Self {
        let order: Vec<usize> = labels.iter().filter_map(|l| self.labels.iter().position(|own| own == l)).collect();
        let in_order = order.iter().enumerate().all(|(i, &a)| i == a);
        let tensor = if in_order { self.tensor } else { Dispatch::float_permute(self.tensor, &order) };
        Self { tensor, labels: labels.to_vec() }
    }
}

/// The label of the dimension that stands `from_end` before the end of `…`.
fn hidden(from_end: usize) -> char {
    char::from_u32(0xE000 + from_end as u32).unwrap_or('\u{E000}')
}

/// The labels of a term, `…` written out over `extra` dimensions.
fn labels(term: &str, extra: usize) -> Vec<char> {
    let (before, after) = term.split_once("...").unwrap_or((term, ""));
    let ellipsis = (0..extra).rev().map(hidden).filter(|_| term.contains("..."));
    before.chars().chain(ellipsis).chain(after.chars()).collect()
}

/// A tensor with its labels; of a label that stands twice, the diagonal.
fn operand(call: &Call<'_>, tensor: DispatchTensor, term: &str) -> Result<Operand, String> {
    let shape: Vec<usize> = tensor.shape().iter().copied().collect();
    let named = term.replace("...", "").chars().count();
    let extra = shape.len().checked_sub(named).filter(|&e| e == 0 || term.contains("..."));
    let extra = extra.ok_or_else(|| format!("the term {term:?} does not fit the shape {shape:?}"))?;
    let all = labels(term, extra);
    let mut unique = Vec::new();
    let (mut lengths, mut steps) = (Vec::new(), Vec::new());
    let own = strides(&shape);
    for (i, label) in all.iter().enumerate() {
        match unique.iter().position(|u| u == label) {
            None => {
                unique.push(*label);
                lengths.push(shape[i]);
                steps.push(own[i]);
            }
            Some(at) if lengths[at] == shape[i] => steps[at] += own[i],
            Some(_) => return Err(format!("the label {label:?} has two lengths in {shape:?}")),
        }
    }
    if unique.len() == all.len() {
        return Ok(Operand { tensor, labels: all });
    }
    let places = positions(&lengths, &steps, 0).map(|p| p as i64).collect();
    let flat = reshape(tensor, [shape.iter().product::<usize>()].into());
    let diagonal = Dispatch::float_select(flat, 0, upload_index(places, call.device));
    Ok(Operand { tensor: reshape(diagonal, lengths.as_slice().into()), labels: unique })
}

/// Two operands as one; labels that are not `wanted` later are summed away.
fn contract(a: Operand, b: Operand, wanted: impl Fn(char) -> bool) -> Result<Operand, String> {
    let shared = |l: char, other: &[char]| other.contains(&l);
    let (labels_a, labels_b) = (a.labels.clone(), b.labels.clone());
    let a = a.summed(|l| wanted(l) || shared(l, &labels_b));
    let b = b.summed(|l| wanted(l) || shared(l, &labels_a));
    let pick = |from: &[char], test: &dyn Fn(char) -> bool| -> Vec<char> {
        from.iter().copied().filter(|&l| test(l)).collect()
    };
    let batch = pick(&a.labels, &|l| shared(l, &b.labels) && wanted(l));
    let inner = pick(&a.labels, &|l| shared(l, &b.labels) && !wanted(l));
    let left = pick(&a.labels, &|l| !shared(l, &b.labels));
    let right = pick(&b.labels, &|l| !shared(l, &a.labels));
    let length = |l: char| -> Result<usize, String> {
        match (a.length(l), b.length(l)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            (x, y) => Err(format!("the label {l:?} has the lengths {x} and {y}")),
        }
    };
    let lengths = |labels: &[char]| labels.iter().map(|&l| length(l)).collect::<Result<Vec<_>, _>>();
    let (batch_n, inner_n) = (lengths(&batch)?, lengths(&inner)?);
    let (left_n, right_n) = (lengths(&left)?, lengths(&right)?);
    let product = |n: &[usize]| n.iter().product::<usize>();
    let arrange = |o: Operand, parts: [(&[char], &[usize]); 3]| {
        let order: Vec<char> = parts.iter().flat_map(|(l, _)| l.iter().copied()).collect();
        let full: Vec<usize> = parts.iter().flat_map(|(_, n)| n.iter().copied()).collect();
        let tensor = expand(o.ordered(&order).tensor, &full);
        reshape(tensor, parts.map(|(_, n)| product(n)).into())
    };
    let mut labels = batch.clone();
    labels.extend(left.iter().chain(&right));
    let mut shape = batch_n.clone();
    shape.extend(left_n.iter().chain(&right_n));
    check_size(&shape)?;
    let a = arrange(a, [(&batch, &batch_n), (&left, &left_n), (&inner, &inner_n)]);
    let b = arrange(b, [(&batch, &batch_n), (&inner, &inner_n), (&right, &right_n)]);
    let tensor = reshape(Dispatch::float_matmul(a, b), shape.as_slice().into());
    Ok(Operand { tensor, labels })
}

fn einsum(call: &mut Call<'_>) -> Outcome {
    let equation: String =
        call.node.attributes.text("equation").ok_or("it has no equation")?.chars().filter(|c| *c != ' ').collect();
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs.to_owned(), Some(output.to_owned())),
        None => (equation.clone(), None),
    };
    let terms: Vec<String> = inputs.split(',').map(str::to_owned).collect();
    if terms.len() != call.inputs.len() {
        return Err(format!("{equation:?} has {} terms for {} inputs", terms.len(), call.inputs.len()));
    }
    let mut operands = Vec::new();
    for (i, term) in terms.iter().enumerate() {
        let tensor = call.float(i)?;
        operands.push(operand(call, tensor, term)?);
    }
    let extra = operands.iter().map(|o| o.labels.iter().filter(|l| **l >= '\u{E000}').count()).max().unwrap_or(0);
    let output = match output {
        Some(output) => labels(&output, extra),
        None => {
            // What stands once, in the order of the alphabet, after what `…` stands for.
            let letters: Vec<char> = inputs.chars().filter(|c| c.is_alphabetic()).collect();
            let mut once: Vec<char> =
                letters.iter().copied().filter(|c| letters.iter().filter(|d| *d == c).count() == 1).collect();
            once.sort_unstable();
            (0..extra).rev().map(hidden).chain(once).collect()
        }
    };
    if let Some(label) = output.iter().find(|l| !operands.iter().any(|o| o.labels.contains(l))) {
        return Err(format!("{equation:?} makes {label:?} of nothing"));
    }
    let mut rest = operands.into_iter();
    let mut result = rest.next().ok_or("it has no input")?;
    let mut rest: Vec<Operand> = rest.collect();
    while !rest.is_empty() {
        let next = rest.remove(0);
        let wanted = |l: char| output.contains(&l) || rest.iter().any(|o| o.labels.contains(&l));
        result = contract(result, next, wanted)?;
    }
    let result = result.summed(|l| output.contains(&l)).ordered(&output);
    debug_assert_eq!(result.shape().len(), output.len());
    Ok(vec![Value::Float(result.tensor)])
}
