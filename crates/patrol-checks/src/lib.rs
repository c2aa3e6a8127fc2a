//! patrol-checks
