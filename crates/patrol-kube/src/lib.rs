//! patrol-kube
