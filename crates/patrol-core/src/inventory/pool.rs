//! Values that many objects share, stored once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::facts::{Container, Labels, Owner, PodShape, PodStatus, Scheduling, Template, Workload};
use crate::sym::Sym;

/// A pool of shared values. Only looked up and swept, never iterated into a result.
#[derive(Debug)]
struct Pool<T: ?Sized> {
    known: HashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            sweep_at: 1024,
        }
    }
}

impl<T: ?Sized + Hash + Eq> Pool<T> {
    /// The shared copy of `value`, if there is one.
    fn find(&self, value: &T) -> Option<Arc<T>> {
        self.known.get(value).map(Arc::clone)
    }

    /// The shared copy of `value`.
    fn share(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(known) = self.find(&value) {
            return known;
        }
        if self.known.len() >= self.sweep_at {
            self.sweep();
        }
        self.known.insert(Arc::clone(&value));
        value
    }

    /// Forgets what nothing but the pool holds any more.
    fn sweep(&mut self) {
        self.known.retain(|v| Arc::strong_count(v) > 1);
        self.sweep_at = (self.known.len() * 2).max(1024);
    }

    fn shrink(&mut self) {
        self.sweep();
        self.known.shrink_to_fit();
    }
}

/// The parts that objects have in common: a pod, its ReplicaSet and its Deployment mostly
/// have the same labels, containers and shape.
#[derive(Debug, Default)]
pub(super) struct Parts {
    shapes: Pool<PodShape>,
    statuses: Pool<PodStatus>,
    owners: Pool<Owner>,
    schedulings: Pool<Scheduling>,
    labels: Pool<[(Sym, Sym)]>,
    containers: Pool<[Container]>,
}

impl Parts {
    pub fn shape(&mut self, mut shape: PodShape) -> Arc<PodShape> {
        if let Some(known) = self.shapes.find(&shape) {
            return known;
        }
        self.share_labels(&mut shape.labels);
        self.share_labels(&mut shape.annotations);
        shape.containers = self.containers.share(shape.containers);
        self.shapes.share(Arc::new(shape))
    }

    pub fn status(&mut self, status: PodStatus) -> Arc<PodStatus> {
        match self.statuses.find(&status) {
            Some(known) => known,
            None => self.statuses.share(Arc::new(status)),
        }
    }

    pub fn owner(&mut self, owner: Arc<Owner>) -> Arc<Owner> {
        self.owners.share(owner)
    }

    fn template(&mut self, template: Template) -> Template {
        Template {
            shape: self.shape(Arc::unwrap_or_clone(template.shape)),
            scheduling: self.schedulings.share(template.scheduling),
        }
    }

    /// Shares what a workload has in common with its template and its siblings.
    pub fn workload(&mut self, workload: &mut Workload) {
        workload.template = workload.template.take().map(|t| self.template(t));
        let meta = &mut workload.meta;
        if let Some(template) = &workload.template {
            for own in [&mut meta.labels, &mut meta.annotations] {
                let alike = [&template.shape.labels, &template.shape.annotations];
                if let Some(same) = alike.into_iter().find(|theirs| *theirs == own) {
                    *own = same.clone();
                }
            }
        }
        meta.owner = meta.owner.take().map(|owner| self.owner(owner));
    }

    fn share_labels(&mut self, labels: &mut Labels) {
        labels.replace(|pairs| self.labels.share(pairs));
    }

    /// Distinct shapes held.
    pub fn distinct_shapes(&self) -> usize {
        self.shapes.known.len()
    }

    /// Forgets what no object has any more, whole shapes before their parts.
    pub fn shrink(&mut self) {
        self.shapes.shrink();
        self.statuses.shrink();
        self.owners.shrink();
        self.schedulings.shrink();
        self.labels.shrink();
        self.containers.shrink();
    }
}
