"""Variations of training images: drawn without state as parameters, then applied in few passes.

`draw` makes draws of (seed, example, epoch), `resolve` makes parameters of them and of the images' histograms, and
`apply` makes images of images and parameters, here on the CPU, in `vit_train.models.resample` on an accelerator. All
geometry is one affine map, all tone one table, and so on: a pass each, however many operations are in it.
"""
