//! The parts of an ONNX file (Protocol Buffers, `onnx.proto` of ONNX 1.23) that the program needs, read in one pass. The
//! bytes of tensors are not read here, only where they lie, so that a model is never held twice.

use super::messages::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
pub use super::wire::Reader;
use super::wire::{Field, Outcome};

impl Reader<'_> {
    /// The model that all of it is.
    pub fn model(&mut self) -> Outcome<ModelProto> {
        let end = self.size;
        self.message(end, |r, number, field, m: &mut ModelProto| {
            match (number, field) {
                (1, Field::Number(v)) => m.ir_version = v as i64,
                (7, Field::Bytes(end)) => m.graph = Some(r.graph(end)?),
                (8, Field::Bytes(end)) => m.opset_import.push(r.opset(end)?),
                (25, Field::Bytes(end)) => m.functions.push(r.function(end)?),
                _ => {}
            }
            Ok(())
        })
    }

    /// The tensor that all of it is.
    pub fn whole_tensor(&mut self) -> Outcome<TensorProto> {
        self.tensor(self.size)
    }

    fn graph(&mut self, end: u64) -> Outcome<GraphProto> {
        self.message(end, |r, number, field, g: &mut GraphProto| {
            match (number, field) {
                (1, Field::Bytes(end)) => g.node.push(r.node(end)?),
                (5, Field::Bytes(end)) => g.initializer.push(r.tensor(end)?),
                (11, Field::Bytes(end)) => g.input.push(r.value_info(end)?),
                (12, Field::Bytes(end)) => g.output.push(r.value_info(end)?),
                (15, _) => g.has_sparse_initializer = true,
                _ => {}
            }
            Ok(())
        })
    }

    fn function(&mut self, end: u64) -> Outcome<FunctionProto> {
        self.message(end, |r, number, field, f: &mut FunctionProto| {
            match (number, field) {
                (1, Field::Bytes(end)) => f.name = r.text(end)?,
                (4, Field::Bytes(end)) => f.input.push(r.text(end)?),
                (5, Field::Bytes(end)) => f.output.push(r.text(end)?),
                (7, Field::Bytes(end)) => f.node.push(r.node(end)?),
                (9, Field::Bytes(end)) => f.opset_import.push(r.opset(end)?),
                (10, Field::Bytes(end)) => f.domain = r.text(end)?,
                (11, Field::Bytes(end)) => f.attribute_proto.push(r.attribute(end)?),
                _ => {}
            }
            Ok(())
        })
    }

    fn opset(&mut self, end: u64) -> Outcome<(String, i64)> {
        self.message(end, |r, number, field, o: &mut (String, i64)| {
            match (number, field) {
                (1, Field::Bytes(end)) => o.0 = r.text(end)?,
                (2, Field::Number(v)) => o.1 = v as i64,
                _ => {}
            }
            Ok(())
        })
    }

    fn node(&mut self, end: u64) -> Outcome<NodeProto> {
        self.message(end, |r, number, field, n: &mut NodeProto| {
            match (number, field) {
                (1, Field::Bytes(end)) => n.input.push(r.text(end)?),
                (2, Field::Bytes(end)) => n.output.push(r.text(end)?),
                (3, Field::Bytes(end)) => n.name = r.text(end)?,
                (4, Field::Bytes(end)) => n.op_type = r.text(end)?,
                (5, Field::Bytes(end)) => n.attribute.push(r.attribute(end)?),
                (7, Field::Bytes(end)) => n.domain = r.text(end)?,
                _ => {}
            }
            Ok(())
        })
    }

    fn attribute(&mut self, end: u64) -> Outcome<AttributeProto> {
        self.message(end, |r, number, field, a: &mut AttributeProto| {
            match (number, field) {
                (1, Field::Bytes(end)) => a.name = r.text(end)?,
                (2, Field::Float(v)) => a.f = v,
                (3, Field::Number(v)) => a.i = v as i64,
                (4, Field::Bytes(end)) => a.s = r.text(end)?,
                (5, Field::Bytes(end)) => a.t = Some(r.tensor(end)?),
                (6, Field::Bytes(end)) => a.g = Some(r.graph(end)?),
                (7, field) => r.floats(field, &mut a.floats)?,
                (8, field) => r.numbers(field, &mut a.ints)?,
                (20, Field::Number(v)) => a.kind = v as i64,
                (21, Field::Bytes(end)) => a.ref_attr_name = r.text(end)?,
                _ => {}
            }
            Ok(())
        })
    }

    fn tensor(&mut self, end: u64) -> Outcome<TensorProto> {
        self.message(end, |r, number, field, t: &mut TensorProto| {
            match (number, field) {
                (1, field) => r.numbers(field, &mut t.dims)?,
                (2, Field::Number(v)) => t.data_type = v as i32,
                (4, field) => r.floats(field, &mut t.float_data)?,
                (5, field) => r.numbers(field, &mut t.int32_data)?,
                (7, field) => r.numbers(field, &mut t.int64_data)?,
                (8, Field::Bytes(end)) => t.name = r.text(end)?,
                (9, Field::Bytes(end)) => t.raw_data = Some((r.at, end - r.at)),
                (10, field) => r.doubles(field, &mut t.double_data)?,
                (11, field) => r.numbers(field, &mut t.uint64_data)?,
                (13, Field::Bytes(end)) => t.external_data.push(r.entry(end)?),
                (14, Field::Number(v)) => t.is_external = v == 1,
                _ => {}
            }
            Ok(())
        })
    }

    fn entry(&mut self, end: u64) -> Outcome<(String, String)> {
        self.message(end, |r, number, field, e: &mut (String, String)| {
            match (number, field) {
                (1, Field::Bytes(end)) => e.0 = r.text(end)?,
                (2, Field::Bytes(end)) => e.1 = r.text(end)?,
                _ => {}
            }
            Ok(())
        })
    }

    fn value_info(&mut self, end: u64) -> Outcome<ValueInfoProto> {
        self.message(end, |r, number, field, v: &mut ValueInfoProto| {
            match (number, field) {
                (1, Field::Bytes(end)) => v.name = r.text(end)?,
                // TypeProto
                (2, Field::Bytes(end)) => {
                    let kind = r.message(end, |r, number, field, v: &mut ValueInfoProto| {
                        match (number, field) {
                            (1, Field::Bytes(end)) => *v = r.tensor_type(end)?,
                            (4 | 5 | 8 | 9, _) => v.is_other = true,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    *v = ValueInfoProto { name: std::mem::take(&mut v.name), ..kind };
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn tensor_type(&mut self, end: u64) -> Outcome<ValueInfoProto> {
        self.message(end, |r, number, field, v: &mut ValueInfoProto| {
            match (number, field) {
                (1, Field::Number(n)) => v.elem_type = n as i32,
                // TensorShapeProto
                (2, Field::Bytes(end)) => {
                    v.shape = Some(r.message(end, |r, number, field, dims: &mut Vec<_>| {
                        if let (1, Field::Bytes(end)) = (number, field) {
                            dims.push(r.dimension(end)?);
                        }
                        Ok(())
                    })?);
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn dimension(&mut self, end: u64) -> Outcome<(Option<i64>, String)> {
        self.message(end, |r, number, field, d: &mut (Option<i64>, String)| {
            match (number, field) {
                (1, Field::Number(n)) => d.0 = Some(n as i64),
                (2, Field::Bytes(end)) => d.1 = r.text(end)?,
                _ => {}
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cut_anywhere_is_an_error_or_a_smaller_model() {
        // opset_import { version: 13 }, graph { node { op_type: "Relu" } }
        let bytes = [0x42, 2, 0x10, 13, 0x3a, 8, 0x0a, 6, 0x22, 4, b'R', b'e', b'l', b'u'];
        let model = Reader::of(&bytes).model().unwrap();
        assert_eq!(model.opset_import, [(String::new(), 13)]);
        assert_eq!(model.graph.unwrap().node[0].op_type, "Relu");
        for end in 1..bytes.len() {
            let cut = Reader::of(&bytes[..end]).model();
            assert!(cut.is_err() || end == 4, "{end}: {cut:?}");
        }
    }

    #[test]
    fn a_length_beyond_the_file_asks_for_no_memory() {
        let error = Reader::of(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).model().unwrap_err();
        assert!(error.contains("cut short"), "{error}");
    }

    #[test]
    fn depth_has_an_end() {
        // A graph whose node has an attribute that is a graph, and so on.
        let mut bytes = Vec::new();
        for _ in 0..80 {
            for tag in [0x32u8, 0x2a, 0x0a] {
                let mut length = bytes.len();
                let mut outer = vec![tag];
                while length >= 0x80 {
                    outer.push(length as u8 | 0x80);
                    length >>= 7;
                }
                outer.push(length as u8);
                outer.extend(&bytes);
                bytes = outer;
            }
        }
        let error = Reader::of(&bytes).graph(bytes.len() as u64).unwrap_err();
        assert!(error.contains("deeper"), "{error}");
    }
}
