/** Of every package: they are released together. A test holds it to package.json. */
export const version = '0.1.0'
