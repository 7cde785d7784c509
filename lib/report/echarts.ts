/**
 * The plotting library, and all of it that is used: Apache ECharts, which draws to SVG text without a browser.
 *
 * scripts/build-lib.mjs puts it into this one file of dist/, so that whoever installs lazyshadow does not install 60 MB
 * for 1 % of it. docs/plots.md says why it is this library.
 */

export { CustomChart, LineChart } from 'echarts/charts';
export { GridComponent, TitleComponent } from 'echarts/components';
export { init, use } from 'echarts/core';
export { SVGRenderer } from 'echarts/renderers';
